import ServiceLifecycle

/// A service that begins when a gate opens: the daemon says that it is ready only when its status pages can be read.
struct GatedService: Service {
    let service: any Service
    let gate: StartGate

    func run() async throws {
        guard await gate.isOpened() else { return }
        try await service.run()
    }
}

/// Opens once.
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

    /// Waits until the gate opens; false when the process is to end before that.
    func isOpened() async -> Bool {
        for await _ in openings.cancelOnGracefulShutdown() { return true }
        return false
    }
}
