#include "server/openai/open_answer.h"

namespace sluice::openai {

Result<std::unique_ptr<OpenAnswer>> OpenAnswer::submit(api::Backend& backend, GenerateCall call) {
  std::unique_ptr<OpenAnswer> answer(new OpenAnswer(backend));
  answer->inbox_ = std::make_shared<AnswerInbox>(static_cast<int>(call.requests.size()), call.answer);
  for (size_t i = 0; i < call.requests.size(); ++i) {
    api::GenerateRequest& request = call.requests[i];
    request.id = api::next_request_id();
    const api::RequestId id = request.id;
    SLUICE_RETURN_IF_ERROR(backend.generate(std::move(request), answer->inbox_->sink(static_cast<int>(i))));
    answer->ids_.push_back(id);
  }
  return answer;
}

OpenAnswer::~OpenAnswer() {
  if (!ended_) cancel();
}

void OpenAnswer::cancel() {
  for (const api::RequestId id : ids_) backend_.cancel(id);
}

void OpenAnswer::follow(http::ResponseWriter& writer) {
  writer.on_disconnect([&backend = backend_, ids = ids_, inbox = inbox_] {
    for (const api::RequestId id : ids) backend.cancel(id);
    inbox->bell().close();
  });
}

}  // namespace sluice::openai
