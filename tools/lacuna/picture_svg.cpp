#include "tools/lacuna/picture.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace lacuna::tool {
namespace {

using plan::TileState;

constexpr double side = 512;        // the longer side of the mask
constexpr std::int64_t most = 512;  // cells along it
constexpr double left = 64, right = 32, top = 96;
constexpr std::string_view ink = "#0f172a", muted = "#64748b";

struct Palette {
  std::string_view empty, live;
};
constexpr Palette palette_of(TileState state) {
  if (state == TileState::full) return {"#2563eb", "#2563eb"};
  if (state == TileState::partial) return {"#fef3c7", "#f59e0b"};
  return {"#f1f5f9", "#f1f5f9"};
}

std::string escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else
      out += c;
  }
  return out;
}

/// Rectangles of one colour, gathered in one path.
class Layers {
 public:
  void add(const std::string& style, double x, double y, double width, double height) {
    paths_[style] +=
        fmt::format("M{:.6g} {:.6g}h{:.6g}v{:.6g}h{:.6g}z", x, y, width, height, -width);
  }
  std::string text() const {
    std::string out;
    for (auto& [style, path] : paths_) out += fmt::format("<path {} d=\"{}\"/>\n", style, path);
    return out;
  }

 private:
  std::map<std::string, std::string> paths_;
};

class Svg {
 public:
  explicit Svg(const Picture& picture)
      : picture_(picture),
        cells_(shrink(picture, most, most)),
        scale_(side /
               static_cast<double>(std::max({picture.rows, picture.columns, std::int64_t{1}}))),
        width_(std::max(1.0, scale_ * static_cast<double>(picture.columns))),
        height_(std::max(1.0, scale_ * static_cast<double>(picture.rows))) {}

  std::string draw() {
    double page = std::max(width_, 460.0) + left + right,
           mask_lines = static_cast<double>(picture_.masks.size());
    double shift = std::max(0.0, mask_lines - 1) * 18;
    std::string body =
        heading() + fmt::format("<g transform=\"translate({} {:.6g})\">\n", left, top + shift);
    body += tiles() + pairs() + grid() + axes() + legend() + "</g>\n";
    double tall = top + shift + height_ + 116;
    return fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.6g} {1:.6g}\" "
        "width=\"{0:.6g}\" height=\"{1:.6g}\" "
        "font-family=\"Inter, 'Segoe UI', 'DejaVu Sans', sans-serif\" font-size=\"13\" "
        "fill=\"{2}\">\n"
        "<rect width=\"{0:.6g}\" height=\"{1:.6g}\" rx=\"12\" fill=\"#ffffff\"/>\n{3}</svg>\n",
        page, tall, ink, body);
  }

 private:
  std::string heading() const {
    std::string out = fmt::format(
        "<text x=\"{}\" y=\"34\" font-size=\"19\" font-weight=\"600\">{}</text>\n"
        "<text x=\"{}\" y=\"34\" text-anchor=\"end\" fill=\"{}\">{}</text>\n",
        left, escaped(picture_.title), left + std::max(width_, 460.0), muted,
        escaped(picture_.subtitle));
    double y = 58;
    for (const std::string& mask : picture_.masks) {
      out += fmt::format(
          "<text x=\"{}\" y=\"{}\" font-family=\"'JetBrains Mono', 'DejaVu Sans Mono', monospace\" "
          "font-size=\"12\">"
          "<tspan fill=\"{}\">mask</tspan> {}</text>\n",
          left, y, muted, escaped(mask));
      y += 18;
    }
    return out;
  }

  /// The ground: each tile in the colour that it has where no pair attends.
  std::string tiles() const {
    const plan::TileMap& map = picture_.tiles;
    Layers layers;
    for (std::int64_t i = 0; i < map.rows; ++i) {
      for (std::int64_t j = 0; j < map.columns;) {
        std::int64_t end = j + 1;
        while (end < map.columns && map.at(i, end) == map.at(i, j)) ++end;
        double x = edge_x(j), y = edge_y(i);
        layers.add(fmt::format("fill=\"{}\"", palette_of(map.at(i, j)).empty), x, y,
                   edge_x(end) - x, edge_y(i + 1) - y);
        j = end;
      }
    }
    return "<g shape-rendering=\"crispEdges\">\n" + layers.text() + "</g>\n";
  }

  /// The pairs that attend, over their tiles; FULL tiles say it with their ground.
  std::string pairs() const {
    Layers layers;
    double cell = scale_ * static_cast<double>(cells_.step);
    for (std::int64_t row = 0; row < cells_.rows; ++row) {
      for (std::int64_t column = 0; column < cells_.columns;) {
        std::string style = style_of(cells_.at(row, column));
        std::int64_t end = column + 1;
        while (end < cells_.columns && style_of(cells_.at(row, end)) == style) ++end;
        double x = cell * static_cast<double>(column), y = cell * static_cast<double>(row);
        if (!style.empty()) {
          layers.add(style, x, y, std::min(cell * static_cast<double>(end), width_) - x,
                     std::min(y + cell, height_) - y);
        }
        column = end;
      }
    }
    return "<g shape-rendering=\"crispEdges\">\n" + layers.text() + "</g>\n";
  }

  static std::string style_of(const Cells::Cell& cell) {
    if (cell.density <= 0 || cell.state != TileState::partial) return {};
    double opacity = std::ceil(cell.density * 4) / 4;
    return fmt::format("fill=\"{}\" fill-opacity=\"{:.3g}\"", palette_of(cell.state).live, opacity);
  }

  std::string grid() const {
    const plan::TileMap& map = picture_.tiles;
    std::string path;
    for (std::int64_t i = 1; i < map.rows; ++i)
      path += fmt::format("M0 {:.6g}h{:.6g}", edge_y(i), width_);
    for (std::int64_t j = 1; j < map.columns; ++j)
      path += fmt::format("M{:.6g} 0v{:.6g}", edge_x(j), height_);
    double stroke = std::clamp(scale_ * std::min(map.tile_q, map.tile_k) / 16, 0.25, 1.5);
    return fmt::format(
        "<path d=\"{}\" stroke=\"#ffffff\" stroke-width=\"{:.3g}\" fill=\"none\"/>\n"
        "<rect width=\"{:.6g}\" height=\"{:.6g}\" fill=\"none\" stroke=\"#cbd5e1\"/>\n",
        path, stroke, width_, height_);
  }

  std::string axes() const {
    std::string out = fmt::format("<g fill=\"{}\" font-size=\"11\">\n", muted);
    auto tick = [&](double x, double y, std::string_view anchor, std::int64_t value) {
      out += fmt::format("<text x=\"{:.6g}\" y=\"{:.6g}\" text-anchor=\"{}\">{}</text>\n", x, y,
                         anchor, value);
    };
    tick(0, -8, "start", 0);
    tick(width_, -8, "end", std::max<std::int64_t>(picture_.columns - 1, 0));
    tick(-8, 10, "end", picture_.first_position);
    tick(-8, height_, "end",
         picture_.first_position + std::max<std::int64_t>(picture_.rows - 1, 0));
    out += fmt::format("<text x=\"{:.6g}\" y=\"-8\" text-anchor=\"middle\">key position k</text>\n",
                       width_ / 2);
    out += fmt::format(
        "<text transform=\"translate(-22 {:.6g}) rotate(-90)\" text-anchor=\"middle\">query "
        "position q</text>\n",
        height_ / 2);
    return out + "</g>\n";
  }

  std::string legend() const {
    Counts counts = count(picture_);
    std::string out =
        fmt::format("<g transform=\"translate(0 {:.6g})\">\n", height_ + 24) + bar(counts);
    std::tuple<TileState, std::string_view, std::int64_t> rows[] = {
        {TileState::full, "FULL", counts.full},
        {TileState::partial, "PARTIAL", counts.partial},
        {TileState::skipped, "skipped", counts.skipped}};
    double x = 0;
    for (auto [state, name, tiles] : rows) {
      Palette palette = palette_of(state);
      out += fmt::format(
          "<rect x=\"{0:.6g}\" y=\"22\" width=\"14\" height=\"14\" rx=\"3\" fill=\"{1}\" "
          "stroke=\"#cbd5e1\"/>\n"
          "<text x=\"{2:.6g}\" y=\"33.5\">{3} <tspan fill=\"{4}\">{5} tiles, {6:.0f} "
          "%</tspan></text>\n",
          x, state == TileState::partial ? palette.live : palette.empty, x + 21, name, muted, tiles,
          counts.share(tiles));
      x += std::max(width_, 460.0) / 3;
    }
    double percent = counts.pairs > 0 ? 100 * static_cast<double>(counts.live) /
                                            static_cast<double>(counts.pairs)
                                      : 0;
    out += fmt::format(
        "<text y=\"62\" fill=\"{}\">{:.1f} % of the pairs attend; tiles are {} x {}, "
        "{}</text>\n</g>\n",
        muted, percent, picture_.tiles.tile_q, picture_.tiles.tile_k, escaped(picture_.tiled_by));
    return out;
  }

  /// The shares of the three kinds of tiles, as one bar.
  std::string bar(const Counts& counts) const {
    double whole = std::max(width_, 460.0), full = whole * counts.share(counts.full) / 100;
    double partial = whole * counts.share(counts.partial) / 100;
    return fmt::format(
        "<clipPath id=\"bar\"><rect width=\"{0:.6g}\" height=\"8\" rx=\"4\"/></clipPath>\n"
        "<g clip-path=\"url(#bar)\"><rect width=\"{0:.6g}\" height=\"8\" fill=\"#e2e8f0\"/>"
        "<rect width=\"{1:.6g}\" height=\"8\" fill=\"{2}\"/>"
        "<rect x=\"{1:.6g}\" width=\"{3:.6g}\" height=\"8\" fill=\"{4}\"/></g>\n",
        whole, full, palette_of(TileState::full).live, partial,
        palette_of(TileState::partial).live);
  }

  double edge_x(std::int64_t tile) const {
    return scale_ * static_cast<double>(std::min(tile * picture_.tiles.tile_k, picture_.columns));
  }
  double edge_y(std::int64_t tile) const {
    return scale_ * static_cast<double>(std::min(tile * picture_.tiles.tile_q, picture_.rows));
  }

  const Picture& picture_;
  Cells cells_;
  double scale_, width_, height_;
};

}  // namespace

std::string draw_svg(const Picture& picture) {
  return Svg(picture).draw();
}

}  // namespace lacuna::tool
