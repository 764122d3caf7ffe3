#pragma once
// The whole interface of server/http, for those who write routes. No third-party header comes with it.

#include "server/http/event_channel.h"  // IWYU pragma: export
#include "server/http/headers.h"        // IWYU pragma: export
#include "server/http/io_thread.h"      // IWYU pragma: export
#include "server/http/request.h"        // IWYU pragma: export
#include "server/http/response.h"       // IWYU pragma: export
#include "server/http/router.h"         // IWYU pragma: export
#include "server/http/server.h"         // IWYU pragma: export
#include "server/http/status.h"         // IWYU pragma: export
#include "server/http/task.h"           // IWYU pragma: export
