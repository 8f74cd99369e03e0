#pragma once
#include "runtime/host/exec/contract.h"
#include "runtime/host/exec/program.h"
#include "runtime/host/exec/table.h"

#include <string_view>

namespace lacuna::runtime::host {

/// Makes a kernel of a module executable: every instruction to its handler, every operand to a
/// slot, calls inlined. Throws Error{unsupported} for an instruction, modifier or construct that
/// the host device does not know, with its text, PTX line and source line; Error{device} for
/// operands that do not fit an instruction.
Program decode(std::shared_ptr<const ptx::Module> module, const ptx::Function& entry,
               const Table& table, const Contract& contract = {});

}  // namespace lacuna::runtime::host
