#include "runtime/host/exec/contract.h"

#include <map>
#include <set>
#include <string_view>

namespace lacuna::runtime::host {
namespace {

using Products = std::map<std::uint32_t, std::uint32_t>;  ///< register to statement

/// ".f32" of "mul.f32"; empty where the opcode is another or says how to round.
std::string_view free_type(std::string_view opcode, std::string_view mnemonic) {
  if (!opcode.starts_with(mnemonic)) return {};
  const std::string_view type = opcode.substr(mnemonic.size());
  for (std::string_view known :
       {".f32", ".ftz.f32", ".f64", ".f16", ".ftz.f16", ".f16x2", ".ftz.f16x2", ".bf16", ".bf16x2"})
    if (type == known) return type;
  return {};
}

bool ends_block(std::string_view opcode) {
  for (std::string_view word : {"bra", "brx", "call", "ret", "exit", "trap"})
    if (opcode.substr(0, opcode.find('.')) == word) return true;
  return false;
}

bool names(const ptx::Operand& operand, std::uint32_t reg) {
  return operand.kind == ptx::Operand::Kind::reg && operand.index == reg;
}

/// Forgets the products that a write to the registers of an operand ends.
void forget(const ptx::Function& function, const ptx::Operand& written, Products& products) {
  for (const ptx::Operand& part : written.parts) forget(function, part, products);
  if (written.kind != ptx::Operand::Kind::reg) return;
  std::erase_if(products, [&](const auto& product) {
    const std::vector<ptx::Operand>& operands = function.body[product.second].operands;
    return product.first == written.index || names(operands[1], written.index) ||
           names(operands[2], written.index);
  });
}

bool is_product(const ptx::Statement& statement) {
  return !free_type(statement.opcode, "mul").empty() && statement.guard.reg < 0 &&
         statement.operands.size() == 3 && statement.operands[0].kind == ptx::Operand::Kind::reg;
}

/// The operands of a sum that are products.
std::vector<Fusion> fusions_at(const ptx::Function& function, std::uint32_t at,
                               const Products& products) {
  std::vector<Fusion> found;
  const ptx::Statement& sum = function.body[at];
  std::string_view type = free_type(sum.opcode, "add");
  if (type.empty()) type = free_type(sum.opcode, "sub");
  if (type.empty() || sum.operands.size() != 3) return found;
  for (std::size_t operand : {1, 2}) {
    if (sum.operands[operand].kind != ptx::Operand::Kind::reg) continue;
    const auto product = products.find(sum.operands[operand].index);
    if (product != products.end() &&
        free_type(function.body[product->second].opcode, "mul") == type)
      found.push_back({at, product->second, operand});
  }
  return found;
}

}  // namespace

std::vector<Fusion> find_fusions(const ptx::Function& function, const Contract& contract,
                                 std::mt19937_64& random) {
  std::vector<Fusion> result;
  if (contract.mode == Contract::Mode::none) return result;
  std::set<std::uint32_t> starts;
  for (const ptx::Label& label : function.labels) starts.insert(label.target);
  Products products;
  for (std::uint32_t at = 0; at < function.body.size(); ++at) {
    const ptx::Statement& statement = function.body[at];
    if (starts.contains(at)) products.clear();
    const std::vector<Fusion> found = fusions_at(function, at, products);
    const bool chance = contract.mode == Contract::Mode::random;
    if (!found.empty() && !(chance && random() % 2))
      result.push_back(found[chance ? random() % found.size() : 0]);
    if (!statement.operands.empty()) forget(function, statement.operands[0], products);
    if (ends_block(statement.opcode)) products.clear();
    // x = x * y leaves no factor behind.
    if (is_product(statement) && !names(statement.operands[1], statement.operands[0].index) &&
        !names(statement.operands[2], statement.operands[0].index))
      products[statement.operands[0].index] = at;
  }
  return result;
}

}  // namespace lacuna::runtime::host
