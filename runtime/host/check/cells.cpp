#include "runtime/host/check/cells.h"

#include <algorithm>

namespace lacuna::runtime::host {

Cell& Cells::paged(std::uint64_t index) {
  const std::uint64_t page = index / page_cells;
  if (page != last_page_) {
    std::unique_ptr<Page>& found = pages_[page];
    if (found == nullptr) found = std::make_unique<Page>();
    last_page_ = page;
    last_ = found.get();
  }
  return (*last_)[index % page_cells];
}

Cell* Cells::split(Cell& cell) {
  auto quarters = std::make_unique<std::array<Cell, 4>>();
  for (Cell& quarter : *quarters) {
    quarter = cell;
    quarter.many = nullptr;
    if (cell.many != nullptr) std::copy_n(cell.many, warps_, grow(quarter));
  }
  quarters_.push_back(std::move(quarters));
  return cell.quarters = quarters_.back()->data();
}

Visit* Cells::grow(Cell& cell) {
  visits_.push_back(std::make_unique<Visit[]>(warps_));
  return cell.many = visits_.back().get();
}

void Cells::forget(Cell& cell) const {
  cell.read = {};
  cell.updated = false;
  if (cell.many != nullptr) std::fill_n(cell.many, warps_, Visit{});
}

}  // namespace lacuna::runtime::host
