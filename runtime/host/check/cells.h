// The shadow of memory: for every four bytes, who wrote them last and who has read them since.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

namespace lacuna::runtime::host {

/// What lanes of one warp have done to a cell at one of its times.
struct Visit {
  std::uint32_t clock = 0;  ///< 0: nothing
  std::uint32_t lanes = 0;
  std::uint32_t at = 0;  ///< the instruction's index
  std::uint8_t warp = 0;
  std::uint8_t kinds = 0;
};
/// Visit::kinds.
constexpr std::uint8_t plain = 1, strong = 2, updating = 4;

struct Cell {
  Visit write, read;        ///< `read` holds updates by atomics, too
  std::uint32_t stamp = 0;  ///< of the step that wrote
  bool updated = false;     ///< an atomic is among the visits
  Visit* many = nullptr;    ///< by warp, where others than that of `read` have come
  Cell* split = nullptr;    ///< of each byte, where it has been accessed in part
};

/// Cells of one state space: a window that begins at 0, or pages of global memory.
class Cells {
 public:
  /// `bytes` 0: made as they are visited.
  Cells(std::uint64_t bytes, int warps)
      : warps_(static_cast<std::size_t>(warps)), window_((bytes + 3) / 4) {}

  /// By address / 4.
  Cell& operator[](std::uint64_t index) {
    if (index < window_.size()) return window_[index];
    return paged(index);
  }
  Cell* bytes_of(Cell& cell) { return cell.split != nullptr ? cell.split : split(cell); }
  /// Where a warp's visit is written down.
  Visit& visit_of(Cell& cell, std::uint8_t warp) {
    if (cell.read.clock == 0 || cell.read.warp == warp) return cell.read;
    return (cell.many != nullptr ? cell.many : grow(cell))[warp];
  }
  /// Every visit is over: somebody has written.
  void forget(Cell& cell) const;
  std::size_t warps() const { return warps_; }

 private:
  static constexpr std::uint64_t page_cells = 256;
  using Page = std::array<Cell, page_cells>;
  Cell& paged(std::uint64_t index);
  Cell* split(Cell& cell);
  Visit* grow(Cell& cell);

  std::size_t warps_;
  std::vector<Cell> window_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Page>> pages_;
  std::uint64_t last_page_ = ~std::uint64_t{0};
  Page* last_ = nullptr;
  std::vector<std::unique_ptr<std::array<Cell, 4>>> bytes_;
  std::vector<std::unique_ptr<Visit[]>> visits_;
};

}  // namespace lacuna::runtime::host
