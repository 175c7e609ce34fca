import Foundation
import Synchronization

/// Ports of loopback for programs that listen, end, and listen there again.
///
/// The kernel gives these ports to no connection meanwhile, and this process gives them to no other test.
enum QuietPort {
    private static let given = Mutex<Set<UInt16>>([])

    /// Source: ip_local_port_range in the kernel's documentation of IP's variables.
    private static let kernelsOwn: ClosedRange<UInt16> = {
        let text = FileManager.default.contents(atPath: "/proc/sys/net/ipv4/ip_local_port_range") ?? Data()
        let bounds = String(decoding: text, as: UTF8.self).split { $0.isWhitespace }.compactMap { UInt16($0) }
        // The kernel's defaults, if it does not tell.
        guard bounds.count == 2, bounds[0] <= bounds[1] else { return 32_768...60_999 }
        return bounds[0]...bounds[1]
    }()

    /// All ports that are not the kernel's; if the kernel uses every port, all ports are candidates.
    private static let candidates: [UInt16] = {
        let all: ClosedRange<UInt16> = 10_000...65_535
        let quiet = all.filter { !kernelsOwn.contains($0) }
        return quiet.isEmpty ? Array(all) : quiet
    }()

    /// A free port that was not given before.
    ///
    /// Another program may take the port first. Then the caller must try another one.
    ///
    /// - Throws: ``WaitError`` when none is found.
    static func next() throws -> UInt16 {
        for _ in 0..<1000 {
            guard let port = candidates.randomElement() else { break }
            let isNew = given.withLock { $0.insert(port).inserted }
            if isNew, Socket.isFree(port) { return port }
        }
        throw WaitError(description: "no port of loopback is free that the kernel does not give away")
    }

    /// Starts something on a port of its own; if another program took the port, it tries a new one.
    ///
    /// - Throws: What the body throws, also for a taken port when that happens again and again.
    static func with<Result>(_ start: (UInt16) async throws -> Result) async throws -> Result {
        for _ in 0..<4 {
            do {
                return try await start(try next())
            } catch let error as WaitError where error.description.contains("another program listens there") {
                continue
            }
        }
        return try await start(try next())
    }
}
