import Foundation
import Glibc
import TestSupport
import Testing

/// A daemon's answer to a GET; the request uses a plain socket and nothing of the server's library.
struct HTTPReply {
    let status: Int
    let headers: [String: String]
    let body: String

    /// Asks `127.0.0.1:port` for a path.
    ///
    /// - Throws: what the requirement throws without a valid HTTP/1.1 answer.
    init(get path: String, port: UInt16) throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var limit = timeval(tv_sec: 60, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(status == 0, "nobody listens at port \(port)")
        let request = Array("GET \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".utf8)
        try #require(send(descriptor, request, request.count, Int32(MSG_NOSIGNAL)) == request.count)
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = uninterrupted { recv(descriptor, &buffer, buffer.count, 0) }
            try #require(count >= 0, "the daemon says no more for a minute after \(bytes.count) bytes")
            guard count > 0 else { break }
            bytes += buffer.prefix(count)
        }
        let text = String(decoding: bytes, as: UTF8.self)
        let end = try #require(text.range(of: "\r\n\r\n"), "no HTTP: \(text)")
        let lines = text[..<end.lowerBound].components(separatedBy: "\r\n")
        self.status = try #require(lines[0].split(separator: " ").dropFirst().first.flatMap { Int($0) })
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            headers[parts[0].lowercased()] = parts.last.map { $0.trimmingCharacters(in: .whitespaces) }
        }
        self.headers = headers
        body = String(text[end.upperBound...])
    }

    /// The number of a series, if the body is a page of metrics.
    ///
    /// - Throws: what the requirement throws when the page lacks the series.
    func value(_ series: String) throws -> Double {
        let line = try #require(
            body.split(separator: "\n").first { $0.hasPrefix("\(series) ") }, "\(series)\n\(body)")
        return try #require(line.split(separator: " ").last.flatMap { Double($0) })
    }

    /// The sum over a family's series, if the body is a page of metrics; 0 without series.
    ///
    /// - Throws: what the requirement throws when a line does not end in a number.
    func sum(_ family: String) throws -> Double {
        try body.split(separator: "\n").filter { $0.hasPrefix("\(family){") }.reduce(0) { sum, line in
            sum + (try #require(line.split(separator: " ").last.flatMap { Double($0) }))
        }
    }
}

extension RunningProgram {
    /// The port of a daemon's status pages, from its log.
    ///
    /// - Throws: ``WaitError`` when the daemon serves none.
    func statusPort() async throws -> UInt16 {
        let pattern = /serving status pages endpoint=http:\/\/127\.0\.0\.1:([0-9]+)/
        var port: UInt16?
        try await eventually("status pages", finding: self.logTail) {
            guard self.isRunning else { throw WaitError(description: self.logTail) }
            port = self.errors.firstMatch(of: pattern).flatMap { UInt16($0.1) }
            return port != nil
        }
        return try #require(port)
    }
}
