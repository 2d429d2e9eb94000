// A directory of images as a mount shows it: what every handler works on. Lives from before the mount until after the
// last reply.
#pragma once

#include <memory>

#include "base/secret.h"
#include "fuse/idle_audit.h"
#include "fuse/mounted.h"
#include "fuse/options.h"
#include "fuse/page_dropper.h"
#include "fuse/tree/fact_nodes.h"
#include "fuse/tree/inode_numbers.h"
#include "fuse/tree/nodes.h"
#include "fuse/tree/open_images.h"

namespace flatimg::flat::tree {

/// A name at SOURCE that is never listed, and what is found there instead of a file.
inline constexpr std::string_view kFactsName = ".flatimg";

struct Tree final : Mounted {
  Tree(Descriptor directory, const Seen& seen, Gate gate, MountOptions given, std::shared_ptr<const Secret> passphrase)
      : options(std::move(given)),
        nodes(std::move(directory), seen),
        images(std::move(gate), options, std::move(passphrase)),
        inode_numbers(seen.key.device) {
    transport = options.transport;
  }

  [[nodiscard]] const fuse_lowlevel_ops& operations() const override;
  [[nodiscard]] std::string status() const override;
  Result<void> create_snapshot(const std::string& path, std::string name) override;
  Result<void> delete_snapshot(const std::string& path, const std::string& name_or_id) override;
  void answers(dev_t device, Errands& errands) override;
  Result<void> close() override;

  /// With an overlay SOURCE is never written, whatever the file.
  [[nodiscard]] bool source_is_written() const { return !options.read_only && !options.overlay; }

  const MountOptions options;
  Nodes nodes;
  OpenImages images;
  FactNodes facts;
  InodeNumbers inode_numbers;
  PageDropper page_dropper;
  std::atomic<std::uint64_t> own_device{0};  // 0 until the mount answers
  IdleAudit idle_audit;                      // last: its thread uses what is above
};

/// Opens SOURCE and looks at the options; opens no image. BadUsage for options that are about one image.
Result<std::unique_ptr<Mounted>> open_tree(const std::string& source, const std::string& mountpoint,
                                           const MountOptions& options, std::shared_ptr<const Secret> passphrase);

}  // namespace flatimg::flat::tree
