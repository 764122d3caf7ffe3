#pragma once
// Router: the table of routes. Filled once before Server::start, then only read, by any thread. It can be enumerated:
// /openapi.json is made from it and a test walks it.

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/http/request.h"
#include "server/http/response.h"
#include "server/http/task.h"

namespace sluice::http {

// Answers one request. Both references live until the task has ended. Errors that it wants to tell the client it sends
// itself (writer.send_error); an exception that leaves it becomes 500.
using Answer = std::function<Task<void>(const Request& request, ResponseWriter& writer)>;

struct Route {
  std::string method;  // "GET" (also serves HEAD), "POST", …
  std::string path;    // "/v1/models", "/v1/models/{model}" (one segment), "/files/{path...}" (one or more)
  Answer answer;
  bool is_public = false;     // answered without the authentication hook being asked
  size_t body_bytes_max = 0;  // 0: ServerLimits::body_bytes_max
  std::string summary;        // one line for /openapi.json
  std::string tag;            // its group there
};

class Router {
 public:
  // A bug (CHECK): a second route of the same method and path, or a path not as described above.
  void add(Route route);

  const std::vector<Route>& routes() const { return routes_; }

  struct Match {
    const Route* route = nullptr;                             // null: no such path, or not with this method
    size_t index = 0;                                         // of the route in routes()
    std::vector<std::pair<std::string, std::string>> params;  // decoded
    std::vector<std::string> allowed;                         // the path's methods when it exists without this one
    const Route* other = nullptr;                             // then: the first route of that path
  };
  // `raw_path` as sent, without the query. Literal routes win over {one} over {rest...}.
  Match match(std::string_view method, std::string_view raw_path) const;
  // The methods that the path has, with HEAD and OPTIONS; empty when there is no such path.
  std::vector<std::string> methods(std::string_view raw_path) const;
  // A known path that looks like `path`, or "".
  std::string nearest_path(std::string_view path) const;

 private:
  struct Pattern {
    std::vector<std::string> segments;
    std::vector<size_t> routes;  // indices: one per method
  };
  // The routes of the path, or null. Adds what its {names} stand for to `params`.
  const std::vector<size_t>* find(std::string_view raw_path,
                                  std::vector<std::pair<std::string, std::string>>* params) const;

  std::vector<Route> routes_;
  std::map<std::string, std::vector<size_t>, std::less<>> literal_;  // path → routes
  std::vector<Pattern> patterns_;                                    // with {names}, most literal first
};

}  // namespace sluice::http
