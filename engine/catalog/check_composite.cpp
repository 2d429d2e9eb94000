#include "catalog/check_composite.h"

#include "base/text.h"
#include "catalog/chain_rules.h"
#include "catalog/describe.h"
#include "composite/header.h"
#include "host/gate.h"

namespace flatimg::catalog {

namespace {

void note(CheckReport& report, const std::string& path, std::string_view sentence) {
  if (sentence.starts_with(shown(path))) return report.tell("{}", sentence);
  report.tell("{}: {}", shown(path), sentence);
}

void add(CheckReport& sum, const std::string& path, const CheckReport& part) {
  sum.corruptions += part.corruptions;
  sum.leaks += part.leaks;
  sum.check_errors += part.check_errors;
  sum.total_clusters += part.total_clusters;
  sum.allocated_clusters += part.allocated_clusters;
  sum.fragmented_clusters += part.fragmented_clusters;
  sum.compressed_clusters += part.compressed_clusters;
  sum.untold += part.untold;
  for (const std::string& sentence : part.sentences) note(sum, path, sentence);
}

class CompositeCheck {
 public:
  CompositeCheck(const InspectRequest& request, Gate gate, CheckDepth depth)
      : request_(request), gate_(std::move(gate)), depth_(depth) {}

  // A disk, with `rules` that have met what led to it.
  Result<CheckReport> check(const Inspected& whole, ChainRules rules, const Progress& progress) {
    CHECK(rules.admit(*whole.file, whole.path));
    TRY(const composite::Header header, composite::read_header(*whole.file));
    CheckReport report;
    TRY(report.image_end, whole.file->size());
    for (const composite::Part& part : header.parts) {
      tell(progress, part.where.begin.value(), header.length.value());
      const auto judged = check_part(report, part, whole, rules);
      if (judged) continue;
      ++report.check_errors;
      note(report, part.path, judged.error().text);
    }
    tell(progress, 1, 1);
    return report;
  }

 private:
  Result<void> check_part(CheckReport& report, const composite::Part& part, const Inspected& whole,
                          const ChainRules& rules) {
    TRY(auto found, gate_.open({part.path, whole.path, Gate::kPart, Access::ReadOnly, rules.files()}));
    InspectRequest look = request_;
    look.path = found.path;
    look.format.reset();
    TRY(const Inspected image, inspect_opened(std::move(found.file), look));
    TRY(const ImageInfo info, describe_inspected(image));
    if (info.virtual_size < part.file_offset + part.where.length) {
      ++report.corruptions;
      note(report, part.path,
           fmt::format("has only {} of the {} bytes that the disk needs of it", info.virtual_size.value(),
                       (part.file_offset + part.where.length).value()));
    }
    TRY(const CheckReport inner, verdict_on(image, rules));
    add(report, part.path, inner);
    return {};
  }

  Result<CheckReport> verdict_on(const Inspected& image, const ChainRules& rules) {
    if (image.format == "composite") return check(image, rules, {});
    auto checked = check_inspected(image, depth_, {});
    if (checked) return checked->report;
    if (checked.error().kind == ErrorKind::Unsupported) return CheckReport();  // nothing to check
    return Failure(std::move(checked.error()));
  }

  const InspectRequest& request_;
  Gate gate_;
  CheckDepth depth_;
};

}  // namespace

Result<CheckedImage> check_composite(const Inspected& whole, const InspectRequest& request, CheckDepth depth,
                                     const Progress& progress) {
  TRY(Gate gate, Gate::around(request.path, request.allowed_directories));
  TRY(CheckReport report, CompositeCheck(request, std::move(gate), depth).check(whole, ChainRules(), progress));
  return CheckedImage{whole.format, std::move(report)};
}

}  // namespace flatimg::catalog
