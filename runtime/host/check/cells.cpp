#include "runtime/host/check/cells.h"

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

Cell* Cells::bytes_of(Cell& cell) {
  if (cell.split == 0) {
    auto bytes = std::make_unique<std::array<Cell, 4>>();
    for (Cell& byte : *bytes) {
      byte.write = cell.write;
      byte.read = cell.read;
      byte.stamp = cell.stamp;
      if (cell.many == 0) continue;
      Visit* to = visits_of(byte);
      const Visit* from = visits_of(cell);
      for (std::size_t k = 0; k < warps_; ++k) to[k] = from[k];
    }
    bytes_.push_back(std::move(bytes));
    cell.split = static_cast<std::uint32_t>(bytes_.size());
  }
  return bytes_[cell.split - 1]->data();
}

Visit* Cells::visits_of(Cell& cell) {
  if (cell.many == 0) {
    visits_.push_back(std::make_unique<Visit[]>(warps_));
    cell.many = static_cast<std::uint32_t>(visits_.size());
  }
  return visits_[cell.many - 1].get();
}

}  // namespace lacuna::runtime::host
