import ServiceLifecycle

/// A service that begins when a gate opens; the daemon reports ready only when its status pages can be read.
struct GatedService: Service, CustomStringConvertible {
    // The service group puts every service into words, and reflection on all of its members takes milliseconds.
    let description = "the daemon"
    let service: any Service
    let gate: StartGate

    func run() async throws {
        guard await gate.isOpened() else { return }
        try await service.run()
    }
}

/// A gate that opens once.
struct StartGate: Sendable {
    private let openings: AsyncStream<Void>
    private let sink: AsyncStream<Void>.Continuation

    init() {
        (openings, sink) = AsyncStream.makeStream(of: Void.self)
    }

    /// Lets the service begin.
    func open() {
        sink.yield()
    }

    /// Waits until the gate opens; returns false when the process must end first.
    func isOpened() async -> Bool {
        for await _ in openings.cancelOnGracefulShutdown() { return true }
        return false
    }
}
