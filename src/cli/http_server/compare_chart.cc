#include "cli/http_server/compare_chart.h"

#include <algorithm>
#include <cstdio>

#include "base/json.h"
#include "base/strings.h"

namespace sluice::cli {
namespace {

constexpr int kLeft = 24, kTop = 84, kRow = 58, kBar = 22, kBars = 600, kWidth = 920;

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '<') {
      out += "&lt;";
    } else if (c == '&') {
      out += "&amp;";
    } else {
      out += c;
    }
  }
  return out;
}

struct Text {
  int x, y, size;
  const char* colour;
  const char* more = "";
};
std::string text(const Text& at, std::string_view words) {
  return cat("<text x=\"", at.x, "\" y=\"", at.y, "\" font-size=\"", at.size, "\" fill=\"", at.colour, "\"", at.more,
             ">", escaped(words), "</text>\n");
}

std::string rectangle(int x, int y, int width, const char* more) {
  return cat("<rect x=\"", x, "\" y=\"", y, "\" width=\"", width, "\" height=\"", kBar, "\" rx=\"3\" ", more, "/>\n");
}

std::string number(const char* format, double value) {
  char buffer[48];
  std::snprintf(buffer, sizeof buffer, format, value);
  return buffer;
}

}  // namespace

std::string chart_svg(const Json& report) {
  const auto rate_of = [](const Json& step) { return step["output_tokens_per_s"].get<double>(); };
  const auto limit_of = [&](const Json& step) { return rate_of(step) / step["of_floor"].get<double>(); };
  double most = 0;
  for (const Json& step : report["steps"]) most = std::max(most, rate_of(step));
  // A limit far beyond every bar would leave nothing to see of them: it is cut, and says so.
  const double scale = most * 1.6;
  const auto length = [&](double rate) { return std::clamp(static_cast<int>(kBars * rate / scale), 2, kBars); };

  const int height = kTop + kRow * static_cast<int>(report["steps"].size()) + 26;
  std::string svg = cat("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"", kWidth, "\" height=\"", height,
                        "\" viewBox=\"0 0 ", kWidth, " ", height,
                        "\" font-family=\"system-ui, 'Helvetica Neue', Arial, sans-serif\">\n"
                        "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n");
  svg += text({kLeft, 32, 18, "#1c2733", " font-weight=\"600\""},
              cat("Output tokens per second: ", report["model"].get<std::string>()));
  svg += text({kLeft, 54, 13, "#5b6875"},
              cat(report["requests"].get<int>(), " requests, ", report["streams"].get<int>(), " at a time, ",
                  report["prompt_tokens_each"].get<int>(), " prompt tokens (", report["shared_tokens"].get<int>(),
                  " shared), ", report["answer_tokens_each"].get<int>(), " answer tokens; ",
                  report["machine"]["cpu"].get<std::string>(), ", ", report["machine"]["cpus"].get<int>(), " CPUs"));
  int y = kTop;
  for (const Json& step : report["steps"]) {
    const double rate = rate_of(step), limit = limit_of(step);
    const int bar = length(rate), outline = std::max(bar, length(limit));
    svg += text({kLeft, y + 12, 14, "#1c2733"}, step["name"].get<std::string>());
    const bool cut = limit > scale;
    svg += rectangle(
        kLeft, y + 20, outline,
        cut ? "fill=\"#eef2f6\" stroke=\"#b5c0cb\" stroke-dasharray=\"4 3\"" : "fill=\"#eef2f6\" stroke=\"#b5c0cb\"");
    svg += rectangle(kLeft, y + 20, bar, "fill=\"#2f6fab\"");
    svg += text({kLeft + outline + 10, y + 36, 13, "#1c2733"},
                cat(number("%.1f", rate), "  (", number("%.1f", step["times_plain"].get<double>()), "×)"));
    svg += text({kWidth - kLeft, y + 12, 12, "#5b6875", " text-anchor=\"end\""},
                cat(number("%.0f", 100 * step["of_floor"].get<double>()), " % of the limit, ", number("%.1f", limit),
                    ", set by ", step["floor_set_by"].get<std::string>()));
    y += kRow;
  }
  svg += text({kLeft, y + 12, 12, "#5b6875"},
              "Outline: what the machine's memory and arithmetic, measured in the same run, allow (dashed: goes on).");
  return svg + "</svg>\n";
}

}  // namespace sluice::cli
