#pragma once
// The dialects' parsers, one constructor each; tool_dialects.h knows them by name.

#include <memory>
#include <string>
#include <vector>

#include "text/answers/call_parser.h"

namespace sluice::text::answers {

// Calls as JSON objects: alone, in a list, or joined by ',' or ';'.
struct JsonCallForm {
  std::vector<std::string> openers;  // before a call or a list of calls; may be empty
  std::vector<std::string> closers;  // behind it
  bool bare = false;                 // an answer that begins with such an object is a call
  bool named = false;                // behind an opener also name[ARGS]{…}, name[CALL_ID]id[ARGS]{…} and name{…}
  bool counts = false;               // the model's ids only count calls: they are not handed on
  bool python = false;               // behind an opener also name.call(key="value") and, with a tool for it, code
};
std::unique_ptr<CallParser> make_json_calls(JsonCallForm form, std::shared_ptr<const ToolSet> tools);

// A line that is a function's name, and a JSON object below it. Further calls behind <|assistant|>.
std::unique_ptr<CallParser> make_glm4_calls(std::shared_ptr<const ToolSet> tools);

// Arguments as tags with plain text in them, whose types only the tool's schema knows.
struct TaggedCallForm {
  std::string opener;                // "<tool_call>"; "" for none
  std::string name_open;             // "<function="
  std::string name_close;            // ">"; "": the name ends at a line's end or a tag
  std::string key_open;              // "<parameter="
  std::string key_close;             // ">"
  std::string value_open;            // "<arg_value>"; "": the value begins behind the key
  std::string value_close;           // "</parameter>"
  std::vector<std::string> closers;  // "</function>", "</tool_call>"
  bool trim_lines = false;           // one line's end at each side of a value is the form's
};
std::unique_ptr<CallParser> make_tagged_calls(TaggedCallForm form, std::shared_ptr<const ToolSet> tools);

// Special tokens around each part: section_open, then for each call call_open, name, separator, a JSON object,
// call_close; then section_close.
struct MarkedCallForm {
  std::string section_open, section_close;
  std::string call_open, call_close;
  std::string separator;
  bool fenced = false;    // also: kind, separator, name on a line, and the object as a block of code
  bool numbered = false;  // the name is written as "functions.name:0", which is the call's id
};
std::unique_ptr<CallParser> make_marked_calls(MarkedCallForm form, std::shared_ptr<const ToolSet> tools);

// A list of Python calls: [f(a=1, b="x"), g()].
struct PythonCallForm {
  std::vector<std::string> openers;  // "<|python_start|>"
  std::vector<std::string> closers;
};
std::unique_ptr<CallParser> make_python_calls(PythonCallForm form, std::shared_ptr<const ToolSet> tools);

}  // namespace sluice::text::answers
