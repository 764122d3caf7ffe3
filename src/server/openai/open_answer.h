#pragma once
// OpenAnswer: the accepted requests of one answer and the inbox their events come to. As long as it lives unfinished,
// the backend works for it; its end, however it comes, cancels what still runs.

#include <memory>
#include <vector>

#include "api/backend.h"
#include "server/http/response.h"
#include "server/openai/answer_inbox.h"
#include "server/openai/request.h"

namespace sluice::openai {

class OpenAnswer {
 public:
  // Gives every request an id and to the backend; when one is refused, the others are cancelled. Templates and
  // tokenises on the calling thread.
  static Result<std::unique_ptr<OpenAnswer>> submit(api::Backend& backend, GenerateCall call);
  ~OpenAnswer();
  OpenAnswer(const OpenAnswer&) = delete;
  OpenAnswer& operator=(const OpenAnswer&) = delete;

  AnswerInbox& inbox() { return *inbox_; }
  // From now on the requests are cancelled, and the inbox's bell closed, at once when the client leaves. I/O thread.
  void follow(http::ResponseWriter& writer);
  void mark_ended() { ended_ = true; }

 private:
  explicit OpenAnswer(api::Backend& backend) : backend_(backend) {}
  void cancel();

  api::Backend& backend_;
  std::vector<api::RequestId> ids_;
  std::shared_ptr<AnswerInbox> inbox_;
  bool ended_ = false;
};

}  // namespace sluice::openai
