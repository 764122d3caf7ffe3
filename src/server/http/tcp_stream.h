#pragma once
// Stream over a TCP socket of Asio. Only this folder's .cc files include it: Asio comes with it.

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "server/http/stream.h"

namespace sluice::http {

using TcpSocket = boost::asio::basic_stream_socket<boost::asio::ip::tcp, boost::asio::io_context::executor_type>;

// Takes a connected socket; sets TCP_NODELAY, keep-alive probes (a vanished client is noticed within about a minute)
// and a bound on unsent bytes in the kernel, so that a slow reader is felt.
std::unique_ptr<Stream> make_tcp_stream(TcpSocket socket);

}  // namespace sluice::http
