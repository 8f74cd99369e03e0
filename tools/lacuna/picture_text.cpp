#include "tools/lacuna/picture.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace lacuna::tool {
namespace {

using plan::TileState;

constexpr std::int64_t most_lines = 36;

/// Codes of the 256 colour palette: empty, then rising density.
constexpr int skipped_colours[] = {234, 66, 67, 68};
constexpr int partial_colours[] = {237, 94, 172, 214};
constexpr int full_colours[] = {24, 31, 32, 39};

int colour_of(const Cells::Cell& cell) {
  int level = cell.density <= 0 ? 0 : cell.density < 0.34f ? 1 : cell.density < 0.67f ? 2 : 3;
  if (cell.state == TileState::full) return full_colours[level];
  return cell.state == TileState::partial ? partial_colours[level] : skipped_colours[level];
}

std::string utf8(char32_t code) {
  return {static_cast<char>(0xe0 | code >> 12), static_cast<char>(0x80 | (code >> 6 & 63)),
          static_cast<char>(0x80 | (code & 63))};
}

/// Ordered dithering: which densities light a dot depends on where it stands.
bool lit(const Cells& cells, std::int64_t row, std::int64_t column) {
  constexpr int bayer[4][4] = {{0, 8, 2, 10}, {12, 4, 14, 6}, {3, 11, 1, 9}, {15, 7, 13, 5}};
  if (row >= cells.rows || column >= cells.columns) return false;
  float threshold = (static_cast<float>(bayer[row % 4][column % 4]) + 0.5f) / 16;
  return cells.at(row, column).density > threshold;
}

std::string braille_line(const Cells& cells, std::int64_t line) {
  constexpr int dots[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
  std::string text;
  for (std::int64_t column = 0; column < cells.columns; column += 2) {
    char32_t code = 0x2800;
    for (int i = 0; i < 4; ++i) {
      for (int j = 0; j < 2; ++j) {
        if (lit(cells, line * 4 + i, column + j)) code |= dots[i][j];
      }
    }
    text += utf8(code);
  }
  return text;
}

std::string block_line(const Cells& cells, std::int64_t line) {
  std::string text;
  for (std::int64_t column = 0; column < cells.columns; ++column) {
    bool upper = lit(cells, line * 2, column), lower = lit(cells, line * 2 + 1, column);
    text += upper && lower ? "█" : upper ? "▀" : lower ? "▄" : " ";
  }
  return text;
}

std::string colour_line(const Cells& cells, std::int64_t line) {
  std::string text, last;
  for (std::int64_t column = 0; column < cells.columns; ++column) {
    std::string code = fmt::format("\033[38;5;{}", colour_of(cells.at(line * 2, column)));
    if (line * 2 + 1 < cells.rows) {
      code += fmt::format(";48;5;{}", colour_of(cells.at(line * 2 + 1, column)));
    } else {
      code += ";49";
    }
    if (code != last) text += code + "m";
    text += "▀";
    last = code;
  }
  return text + "\033[0m";
}

/// Without blanks at the end, of either kind.
std::string trimmed(std::string text) {
  constexpr std::string_view blanks[] = {" ", "\u2800"};
  for (bool again = true; again;) {
    again = false;
    for (std::string_view blank : blanks) {
      if (!std::string_view(text).ends_with(blank)) continue;
      text.resize(text.size() - blank.size());
      again = true;
    }
  }
  return text;
}

/// One way to draw: pairs per character, and a line of them.
struct Style {
  int height, width;
  std::string (*line)(const Cells&, std::int64_t);
};

void draw_mask(const Picture& picture, const Terminal& terminal, std::string& out) {
  auto last_position = picture.first_position + picture.rows - 1;
  std::size_t margin = std::max(fmt::formatted_size("{}", picture.first_position),
                                fmt::formatted_size("{}", last_position)) +
                       3;
  auto budget = static_cast<std::int64_t>(terminal.columns) - static_cast<std::int64_t>(margin) - 2;
  bool fits = picture.columns <= budget && picture.rows <= 2 * most_lines;
  Style style = terminal.colour ? Style{2, 1, colour_line}
                : fits          ? Style{2, 1, block_line}
                                : Style{4, 2, braille_line};
  Cells cells = shrink(picture, style.height * most_lines, style.width * budget);
  auto width = (cells.columns + style.width - 1) / style.width,
       lines = (cells.rows + style.height - 1) / style.height;
  auto last_key = fmt::format("{}", picture.columns - 1);
  out += fmt::format(
      "{:>{}} k 0{:>{}}\n", "", margin, last_key,
      std::max<std::int64_t>(width - 2, static_cast<std::int64_t>(last_key.size()) + 1));
  for (std::int64_t line = 0; line < lines; ++line) {
    std::string label;
    if (line == 0) label = fmt::format("q {}", picture.first_position);
    if (line == lines - 1 && line > 0) label = fmt::format("{}", last_position);
    out += trimmed(fmt::format("{:>{}} {}", label, margin, style.line(cells, line))) + "\n";
  }
  if (cells.step > 1)
    out += fmt::format("{:>{}} one {} = {} x {} pairs\n", "", margin,
                       terminal.colour ? "half block" : "dot", cells.step, cells.step);
}

std::string_view tile_mark(TileState state) {
  return state == TileState::full ? "█" : state == TileState::partial ? "▒" : "·";
}

std::string painted(std::string_view text, int colour, const Terminal& terminal) {
  return terminal.colour ? fmt::format("\033[38;5;{}m{}\033[0m", colour, text) : std::string(text);
}

int mark_colour(TileState state) {
  return state == TileState::full      ? full_colours[3]
         : state == TileState::partial ? partial_colours[3]
                                       : 244;
}

void draw_tiles(const Picture& picture, const Terminal& terminal, std::string& out) {
  const plan::TileMap& tiles = picture.tiles;
  out += fmt::format("  tiles of {} x {}, {}\n", tiles.tile_q, tiles.tile_k, picture.tiled_by);
  // A character is twice as high as wide.
  std::int64_t repeat = std::max(1, 2 * tiles.tile_k / tiles.tile_q);
  std::int64_t step =
      std::max({std::int64_t{1}, (tiles.rows + most_lines - 1) / most_lines,
                (tiles.columns * repeat + terminal.columns - 5) / (terminal.columns - 4)});
  for (std::int64_t i = 0; i < tiles.rows; i += step) {
    out += "    ";
    for (std::int64_t j = 0; j < tiles.columns; j += step) {
      TileState state = tiles.at(i, j);
      for (std::int64_t y = i; y < std::min(i + step, tiles.rows); ++y) {
        for (std::int64_t x = j; x < std::min(j + step, tiles.columns); ++x) {
          if (tiles.at(y, x) != state) state = TileState::partial;
        }
      }
      for (std::int64_t r = 0; r < repeat; ++r)
        out += painted(tile_mark(state), mark_colour(state), terminal);
    }
    out += '\n';
  }
  if (step > 1) out += fmt::format("    one mark = {} x {} tiles\n", step, step);
}

void draw_legend(const Picture& picture, const Terminal& terminal, std::string& out) {
  Counts counts = count(picture);
  std::tuple<TileState, std::string_view, std::int64_t> rows[] = {
      {TileState::full, "FULL", counts.full},
      {TileState::partial, "PARTIAL", counts.partial},
      {TileState::skipped, "skipped", counts.skipped}};
  for (auto [state, name, tiles] : rows) {
    out += fmt::format("  {} {} {} ({:.0f} %)",
                       painted(tile_mark(state), mark_colour(state), terminal), name, tiles,
                       counts.share(tiles));
  }
  auto percent = [&](std::int64_t part, std::int64_t whole) {
    return whole > 0 ? 100 * static_cast<double>(part) / static_cast<double>(whole) : 0;
  };
  out += fmt::format("\n  {} of {} pairs {} ({:.1f} %); {:.1f} % are in visited tiles\n",
                     counts.live, counts.pairs, picture.pairs_are, percent(counts.live, counts.pairs),
                     percent(counts.visited, counts.pairs));
}

}  // namespace

std::string draw_text(const Picture& picture, const Terminal& terminal) {
  std::string out = fmt::format("{}: {}\n", picture.title, picture.subtitle);
  for (const std::string& mask : picture.masks) out += fmt::format("  mask {}\n", mask);
  if (picture.rows > 0 && picture.columns > 0) {
    out += '\n';
    draw_mask(picture, terminal, out);
    out += '\n';
    draw_tiles(picture, terminal, out);
  }
  draw_legend(picture, terminal, out);
  if (!picture.no_plan.empty()) {
    out += fmt::format("  tiles are classified by their pairs, for there is no plan: {}\n",
                       picture.no_plan);
  }
  return out;
}

}  // namespace lacuna::tool
