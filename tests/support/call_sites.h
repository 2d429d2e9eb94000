// From where the engine calls its files: when FLATIMG_CALL_SITES names a file, every call of a FaultyFile is noted
// there with its stack, and whether it failed. A line is "PROGRAM KIND FAILED ADDRESS...", which `addr2line -i -e
// PROGRAM` turns into places; the first of them within engine/, and not in engine/host/, is the call.
#pragma once

namespace flatimg::test {

enum class CallEnded { Well, Failed };

/// `kind` counts as Call (faulty_file.h) does. Any thread; costs nothing when nobody wants to know.
void note_call_site(unsigned kind, CallEnded ended);

}  // namespace flatimg::test
