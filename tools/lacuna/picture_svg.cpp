#include "tools/lacuna/picture.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <tuple>

namespace lacuna::tool {
namespace {

using plan::TileState;

constexpr double side = 512;  // the longer side of the mask
constexpr double legend_line = 22;
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

/// Rectangles in units of pairs, given row by row: one path for each colour, and one rectangle for
/// what repeats below itself.
class Layers {
 public:
  void add(const std::string& style, std::int64_t x, std::int64_t y, std::int64_t width,
           std::int64_t height) {
    Span& span = open_[{style, x, width}];
    if (span.end != y) {
      close(style, x, width, span);
      span = {y, y};
    }
    span.end += height;
  }
  std::string text(double scale) {
    for (auto& [place, span] : open_) {
      auto& [style, x, width] = place;
      close(style, x, width, span);
    }
    open_.clear();
    std::string out =
        fmt::format("<g shape-rendering=\"crispEdges\" transform=\"scale({:.6g})\">\n", scale);
    for (auto& [style, path] : paths_) out += fmt::format("<path {} d=\"{}\"/>\n", style, path);
    return out + "</g>\n";
  }

 private:
  struct Span {
    std::int64_t begin = -1, end = -1;  ///< rows
  };
  void close(const std::string& style, std::int64_t x, std::int64_t width, const Span& span) {
    if (span.begin >= 0)
      paths_[style] +=
          fmt::format("M{} {}h{}v{}h-{}z", x, span.begin, width, span.end - span.begin, width);
  }

  std::map<std::tuple<std::string, std::int64_t, std::int64_t>, Span> open_;
  std::map<std::string, std::string> paths_;
};

class Svg {
 public:
  Svg(const Picture& picture, std::int64_t cells)
      : picture_(picture),
        cells_(shrink(picture, cells, cells)),
        scale_(side /
               static_cast<double>(std::max({picture.rows, picture.columns, std::int64_t{1}}))),
        width_(std::max(1.0, scale_ * static_cast<double>(picture.columns))),
        height_(std::max(1.0, scale_ * static_cast<double>(picture.rows))) {}

  double width() const { return span_ + left + right; }
  double height() const {
    return top + shift() + height_ + 116 + legend_line * (stacked() ? 2 : 0);
  }
  std::string draw() const {
    return heading() +
           fmt::format("<g transform=\"translate({} {:.6g})\">\n", left, top + shift()) + tiles() +
           pairs() + grid() + axes() + legend() + "</g>\n";
  }

 private:
  double shift() const {
    return std::max(0.0, static_cast<double>(picture_.masks.size()) - 1) * 18;
  }
  std::string heading() const {
    std::string out =
        fmt::format(R"(<text x="{}" y="34" font-size="19" font-weight="600">{}</text>)"
                    R"(<text x="{:.6g}" y="34" text-anchor="end" fill="{}">{}</text>)"
                    "\n",
                    left, escaped(picture_.title), left + span_, muted, escaped(picture_.subtitle));
    double y = 58;
    for (std::string mask : picture_.masks) {
      constexpr std::size_t longest = 62;  // what a line holds
      if (mask.size() > longest) mask = mask.substr(0, longest - 3) + "...";
      out += fmt::format(
          R"(<text x="{}" y="{}" font-family="'JetBrains Mono', 'DejaVu Sans Mono', monospace" font-size="12">)"
          R"(<tspan fill="{}">mask</tspan> {}</text>)"
          "\n",
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
      const std::int64_t y = i * map.tile_q;
      for (std::int64_t j = 0; j < map.columns;) {
        std::int64_t end = j + 1;
        while (end < map.columns && map.at(i, end) == map.at(i, j)) ++end;
        layers.add(fmt::format("fill=\"{}\"", palette_of(map.at(i, j)).empty), j * map.tile_k, y,
                   std::min(end * map.tile_k, picture_.columns) - j * map.tile_k,
                   std::min(y + map.tile_q, picture_.rows) - y);
        j = end;
      }
    }
    return layers.text(scale_);
  }

  /// The pairs that attend, over their tiles; FULL tiles say it with their ground.
  std::string pairs() const {
    Layers layers;
    for (std::int64_t row = 0; row < cells_.rows; ++row) {
      const std::int64_t y = row * cells_.step;
      for (std::int64_t column = 0; column < cells_.columns;) {
        std::string style = style_of(cells_.at(row, column));
        std::int64_t end = column + 1;
        while (end < cells_.columns && style_of(cells_.at(row, end)) == style) ++end;
        const std::int64_t x = column * cells_.step;
        if (!style.empty())
          layers.add(style, x, y, std::min(end * cells_.step, picture_.columns) - x,
                     std::min(y + cells_.step, picture_.rows) - y);
        column = end;
      }
    }
    return layers.text(scale_);
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
    return fmt::format(R"(<path d="{}" stroke="#ffffff" stroke-width="{:.3g}" fill="none"/>)"
                       R"(<rect width="{:.6g}" height="{:.6g}" fill="none" stroke="#cbd5e1"/>)"
                       "\n",
                       path, stroke, width_, height_);
  }

  std::string axes() const {
    std::string out = fmt::format("<g fill=\"{}\" font-size=\"11\">\n", muted);
    auto label = [&](double x, double y, std::string_view anchor, auto text) {
      out += fmt::format(R"(<text x="{:.6g}" y="{:.6g}" text-anchor="{}">{}</text>)", x, y, anchor,
                         text);
    };
    label(0, -8, "start", 0);
    label(width_, -8, "end", std::max<std::int64_t>(picture_.columns - 1, 0));
    label(-8, 10, "end", picture_.first_position);
    if (picture_.rows > 1)
      label(-8, std::max(height_, 24.0), "end", picture_.first_position + picture_.rows - 1);
    // A side too short for its name keeps its numbers.
    if (width_ >= 200) label(width_ / 2, -8, "middle", "key position k");
    if (height_ >= 160) {
      out += fmt::format(
          R"~(<text transform="translate(-22 {:.6g}) rotate(-90)" text-anchor="middle">query position q</text>)~",
          height_ / 2);
    }
    return out + "\n</g>\n";
  }

  std::string legend() const {
    Counts counts = count(picture_);
    std::string out =
        fmt::format("<g transform=\"translate(0 {:.6g})\">\n", height_ + 24) + bar(counts);
    const bool lines = stacked();
    double x = 0, y = 22;
    for (const Swatch& one : swatches(counts)) {
      out += draw(one, x, y, counts);
      (lines ? y : x) += lines ? legend_line : span_ * 0.34;
    }
    y = lines ? y + 18 : 62;
    double percent = counts.pairs > 0 ? 100 * static_cast<double>(counts.live) /
                                            static_cast<double>(counts.pairs)
                                      : 0;
    return out +
           fmt::format(
               R"(<text y="{6:.6g}" fill="{0}">{1:.1f} % of the pairs {7}</text>)"
               R"(<text x="{2:.6g}" y="{6:.6g}" text-anchor="end" fill="{0}">tiles of {3} x {4}, {5}</text>)"
               "\n</g>\n",
               muted, percent, span_, picture_.tiles.tile_q, picture_.tiles.tile_k,
               escaped(picture_.tiled_by), y, picture_.pairs_are);
  }

  struct Swatch {
    std::string_view name;
    std::int64_t tiles;
    TileState state;
  };
  static std::array<Swatch, 3> swatches(const Counts& counts) {
    return {{{"FULL", counts.full, TileState::full},
             {"PARTIAL", counts.partial, TileState::partial},
             {"skipped", counts.skipped, TileState::skipped}}};
  }
  static std::string share_text(const Swatch& one, const Counts& counts) {
    return fmt::format("{} tiles, {:.0f} %", one.tiles, counts.share(one.tiles));
  }

  /// Whether an entry is wider than its third of the line; fonts differ, so the estimate is wide.
  bool stacked() const {
    constexpr double glyph = 7;
    Counts counts = count(picture_);
    for (const Swatch& one : swatches(counts)) {
      auto letters = static_cast<double>(one.name.size() + 1 + share_text(one, counts).size());
      if (20 + glyph * letters > 0.34 * span_) return true;
    }
    return false;
  }

  std::string draw(const Swatch& one, double x, double y, const Counts& counts) const {
    return fmt::format(
        R"(<rect x="{0:.6g}" y="{1:.6g}" width="14" height="14" rx="3" fill="{2}" stroke="#cbd5e1"/>)"
        R"(<text x="{3:.6g}" y="{4:.6g}">{5} <tspan fill="{6}">{7}</tspan></text>)"
        "\n",
        x, y, palette_of(one.state).live, x + 20, y + 11.5, one.name, muted,
        share_text(one, counts));
  }

  /// The shares of the three kinds of tiles, as one bar.
  std::string bar(const Counts& counts) const {
    double full = span_ * counts.share(counts.full) / 100,
           partial = span_ * counts.share(counts.partial) / 100;
    return fmt::format(
        R"(<clipPath id="bar"><rect width="{0:.6g}" height="8" rx="4"/></clipPath>)"
        R"~(<g clip-path="url(#bar)"><rect width="{0:.6g}" height="8" fill="#e2e8f0"/>)~"
        R"(<rect width="{1:.6g}" height="8" fill="{2}"/>)"
        R"(<rect x="{1:.6g}" width="{3:.6g}" height="8" fill="{4}"/></g>)"
        "\n",
        span_, full, palette_of(TileState::full).live, partial,
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
  double span_ = std::max(width_, 460.0);  ///< of heading and legend
};

}  // namespace

namespace {

std::string page(double width, double height, const std::string& drawn) {
  return fmt::format(
      R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0:.6g} {1:.6g}" width="{0:.6g}" height="{1:.6g}" )"
      R"(font-family="Inter, 'Segoe UI', 'DejaVu Sans', sans-serif" font-size="12.5" fill="{2}">)"
      "\n"
      R"(<rect width="{0:.6g}" height="{1:.6g}" rx="12" fill="#ffffff"/>)"
      "\n{3}</svg>\n",
      width, height, ink, drawn);
}

}  // namespace

std::string draw_svg(const Picture& picture, std::int64_t cells) {
  const Svg svg(picture, cells);
  return page(svg.width(), svg.height(), svg.draw());
}

std::string draw_svg(const Picture& left, const Picture& right, std::int64_t cells) {
  const Svg one(left, cells), other(right, cells);
  return page(one.width() + other.width(), std::max(one.height(), other.height()),
              fmt::format("{}<g transform=\"translate({:.6g} 0)\">\n{}</g>\n", one.draw(),
                          one.width(), other.draw()));
}

}  // namespace lacuna::tool
