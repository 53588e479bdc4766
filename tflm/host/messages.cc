#include "tflm/host/messages.h"

#include <cstdio>
#include <cstring>

namespace {

std::string g_messages;

}  // namespace

void KeepMessage(const char* format, va_list arguments) {
  char text[512];
  // The tree gives a number to this one's %s.
  if (std::strstr(format, "scratch buffer handle for node %s") != nullptr) {
    std::snprintf(text, sizeof(text), "%.*s", static_cast<int>(std::strlen(format) - 3), format);
  } else {
    std::vsnprintf(text, sizeof(text), format, arguments);
  }
  std::string line;
  for (const char* character = text; *character != '\0'; ++character) {
    const bool is_printable = *character >= ' ' && *character <= '~';
    line += is_printable ? *character : ' ';
  }
  while (!line.empty() && line.back() == ' ') line.pop_back();
  if (!g_messages.empty()) g_messages += "; ";
  g_messages += line;
}

std::string TakeMessages() {
  std::string taken;
  taken.swap(g_messages);
  return taken;
}

int MessageKeeper::Report(const char* format, va_list arguments) {
  KeepMessage(format, arguments);
  return 0;
}
