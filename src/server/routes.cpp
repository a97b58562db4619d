#include "server/routes.h"

#include <fmt/format.h>

#include <chrono>
#include <random>
#include <string_view>
#include <utility>

#include "base/json.h"
#include "base/parse_number.h"
#include "server/embedded.h"
#include "server/limits.h"

namespace combiner {
namespace {

using OrderedJson = nlohmann::ordered_json;
using Request = httplib::Request;
using Response = httplib::Response;

constexpr const char* kJson = "application/json";
constexpr auto kEventPatience = std::chrono::seconds(1);
// Between two answers, so that rows are sent several at a time: a follower that wakes for each
// takes time from those who compute.
constexpr auto kEventInterval = std::chrono::milliseconds(20);
constexpr int kQuietRounds = 15;  // of that patience, after which a comment shows that all is well

void answer(Response& response, const OrderedJson& json, int status = 200) {
  response.status = status;
  response.set_content(on_one_line(json) + "\n", kJson);
}

void accept(Response& response, const Job& job) {
  response.set_header("Location", "/v1/jobs/" + job.id());
  answer(response, job.to_json(), 202);
}

int64_t number(std::string_view text) { return parse_number<int64_t>(text).value_or(0); }

std::shared_ptr<Job> job_of(Service& service, const Request& request) {
  return service.job(request.matches[1]);
}

// The page's own script and style carry a number that only this answer knows; the browser runs no
// others.
void send_page(const Request&, Response& response) {
  constexpr std::string_view kPlace = "NONCE";
  std::random_device random;
  const std::string nonce = fmt::format("{:08x}{:08x}{:08x}", random(), random(), random());
  std::string page(page_html());
  for (size_t at = 0; (at = page.find(kPlace, at)) != page.npos;)
    page.replace(at, kPlace.size(), nonce);
  response.set_header("Content-Security-Policy",
                      fmt::format("default-src 'none'; script-src 'nonce-{0}'; style-src "
                                  "'nonce-{0}'; img-src 'self' blob: data:; connect-src 'self'; "
                                  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
                                  nonce));
  response.set_content(page, "text/html; charset=utf-8");
}

void send_events(const std::shared_ptr<Job>& job,
                 const std::shared_ptr<std::atomic<int>>& followers, const Request& request,
                 Response& response) {
  const std::shared_ptr<void> seat(nullptr, [followers](void*) { --*followers; });
  if (++*followers > kMaxFollowers)
    throw Fault(503, "too_many", "too many clients follow events",
                "try again later, or ask for the job itself", 1);
  auto next = static_cast<size_t>(number(request.get_header_value("Last-Event-ID"))) + 1;
  const auto write = [](httplib::DataSink& sink, std::string_view text) {
    return sink.write(text.data(), text.size());
  };
  response.set_chunked_content_provider(
      "text/event-stream",
      [job, seat, next, write, quiet = 0](size_t, httplib::DataSink& sink) mutable {
        const Job::Events events = job->events(next, kEventPatience);
        next = events.next;
        quiet = events.text.empty() ? quiet + 1 : 0;
        if (!events.text.empty() && !write(sink, events.text)) return false;
        if (quiet == kQuietRounds) {
          quiet = 0;
          if (!write(sink, ": waiting\n\n")) return false;
        }
        if (events.last)
          sink.done();
        else
          job->wait_for_end(kEventInterval);
        return true;
      });
}

void send_file(const Job& job, Response& response) {
  const std::vector<uint8_t> file = job.file();
  if (file.empty())
    throw Fault(409, "not_finished",
                fmt::format("the job has no file; it is {}", name(job.state())),
                job.ended() ? "only jobs of /v1/compress that are done have one"
                            : "follow the job's events, or ask again later",
                job.ended() ? 0 : 1);
  response.set_content({reinterpret_cast<const char*>(file.data()), file.size()},
                       "application/octet-stream");
}

// A handler whose exceptions become answers.
httplib::Server::Handler guarded(httplib::Server::Handler handle) {
  return [handle = std::move(handle)](const Request& request, Response& response) {
    const auto fail = [&](const Fault& fault) {
      response.status = fault.status();
      if (fault.retry_after() > 0)
        response.set_header("Retry-After", std::to_string(fault.retry_after()));
      response.set_content(error_json(fault), kJson);
    };
    try {
      handle(request, response);
    } catch (const Fault& fault) {
      fail(fault);
    } catch (const Error& error) {  // the library's words
      fail(Fault(422, "invalid", error.what()));
    } catch (const std::bad_alloc&) {
      fail(Fault(503, "no_memory", "not enough memory", "try again later", 1));
    } catch (const std::exception& error) {
      fail(Fault(500, "internal", error.what()));
    }
  };
}

}  // namespace

std::string error_json(const Fault& fault) {
  const OrderedJson json = {
      {"error", {{"code", fault.code()}, {"message", fault.what()}, {"hint", fault.hint()}}}};
  return on_one_line(json) + "\n";
}

std::string pattern_of(const std::string& path) {
  std::string pattern = path;
  const auto put = [&](std::string_view name, std::string_view expression) {
    if (const size_t at = pattern.find(name); at != pattern.npos)
      pattern.replace(at, name.size(), expression);
  };
  put(".", "\\.");
  put("{id}", "([0-9a-f]{32})");
  put("{index}", "([0-9]{1,6})");
  return pattern;
}

std::vector<Route> routes(Service& service, const std::shared_ptr<std::atomic<int>>& followers) {
  const auto starts = [&service](std::shared_ptr<Job> (Service::*start)(const std::string&)) {
    return [&service, start](const Request& request, Response& response) {
      accept(response, *(service.*start)(request.body));
    };
  };
  std::vector<Route> all = {
      {"GET", "/", send_page, true},
      {"GET", "/openapi.json",
       [](const Request&, Response& response) {
         response.set_content(std::string(openapi_json()), kJson);
       },
       true},
      {"GET", "/health",
       [&service](const Request&, Response& response) {
         answer(response, {{"status", service.stopping() ? "stopping" : "ok"}});
       },
       true},
      {"GET", "/metrics",
       [&service](const Request&, Response& response) {
         response.set_content(service.metrics(), "text/plain; version=0.0.4");
       }},
      {"GET", "/v1/models",
       [&service](const Request&, Response& response) { answer(response, service.models()); }},
      {"POST", "/v1/samples", starts(&Service::samples)},
      {"POST", "/v1/completions", starts(&Service::completions)},
      {"POST", "/v1/likelihoods", starts(&Service::likelihoods)},
      {"POST", "/v1/compress", starts(&Service::compress)},
      {"POST", "/v1/decompress", starts(&Service::decompress)},
      {"GET", "/v1/jobs/{id}",
       [&service](const Request& request, Response& response) {
         answer(response, job_of(service, request)->to_json());
       }},
      {"DELETE", "/v1/jobs/{id}",
       [&service](const Request& request, Response& response) {
         const std::shared_ptr<Job> job = job_of(service, request);
         service.cancel(*job);
         answer(response, job->to_json());
       }},
      {"GET", "/v1/jobs/{id}/events",
       [&service, followers](const Request& request, Response& response) {
         send_events(job_of(service, request), followers, request, response);
       }},
      {"GET", "/v1/jobs/{id}/images/{index}.png",
       [&service](const Request& request, Response& response) {
         const std::shared_ptr<Job> job = job_of(service, request);
         response.set_content(service.png(*job, number(request.matches[2].str())), "image/png");
       }},
      {"GET", "/v1/jobs/{id}/file",
       [&service](const Request& request, Response& response) {
         send_file(*job_of(service, request), response);
       }},
  };
  for (Route& route : all) route.handle = guarded(std::move(route.handle));
  return all;
}

}  // namespace combiner
