public import Identifiers
public import Keys
import Synchronization
public import UnitOperations
public import WireProtocol
public import ZeroMQ

/// The worker's side of a connection: greeting, heartbeats, orders, and transfers in both directions.
///
/// Blobs go to the coordinator only when it collects them.
///
/// A coordinator that restarts does not know the worker. So the worker greets again, and every transfer goes on from
/// the byte that it had reached.
/// Bound: each transfer holds at most its credit of chunks (``WireLimits/chunkCredit``).
public actor WorkerConnection {
    /// A message of the coordinator about the worker's units and blobs.
    public enum Word: Sendable {
        /// The coordinator answered the greeting.
        case welcomed(coordinator: String)
        /// The coordinator had forgotten the worker, so the units that it had queued are void.
        case forgotten
        /// An order; collected blobs are sent with ``WorkerConnection/upload(_:frame:)``.
        case order(WorkerOrder<UnitLease>)
    }

    /// What the coordinator says of sums of rows.
    public enum RowWord: Sendable {
        /// An order, and the rows that belong to it.
        case order(RowSumOrder, rows: Frame?)
        /// The coordinator has forgotten the worker, so all sums are void.
        case forgotten
    }

    let link: DealerLink
    private var hello: WorkerHello
    private var nextTransfer: UInt64 = 1
    private var downloads: [UInt64: Download] = [:]
    private var uploads: [UInt64: Upload] = [:]
    private var heartbeatInterval: Duration = .milliseconds(500)
    /// The time between two heartbeats while no unit is computed.
    private var idleHeartbeatInterval: Duration = .zero
    private(set) var isWelcome = false
    /// The number of the connection on which the last greeting was sent.
    private var greetedConnection: UInt32?
    private var isEnded = false
    let reports = WaitingReports()
    private var welcomeWaiters: [CheckedContinuation<Void, Never>] = []
    private let wordSink: AsyncStream<Word>.Continuation
    private let rowSink: AsyncStream<RowWord>.Continuation

    /// The coordinator's messages, in the order of their arrival.
    ///
    /// Bound: the coordinator's limits for leases and for blobs that it collects from one worker.
    public nonisolated let words: AsyncStream<Word>

    /// The coordinator's messages about sums of rows, in the order of their arrival; apart from ``words``, because
    /// computing takes long.
    ///
    /// Bound: the credit of all streams, and the orders for their sums.
    public nonisolated let rowWords: AsyncStream<RowWord>

    /// The endpoint where the coordinator listens.
    public nonisolated var endpoint: String { link.endpoint }

    private init(link: DealerLink, hello: WorkerHello) {
        self.link = link
        self.hello = hello
        (words, wordSink) = AsyncStream.makeStream(of: Word.self)
        (rowWords, rowSink) = AsyncStream.makeStream(of: RowWord.self)
    }

    /// Starts to connect to a coordinator.
    ///
    /// - Parameters:
    ///   - endpoint: The endpoint where the coordinator listens.
    ///   - hello: The worker's identity and its offer.
    ///   - keys: The worker's key and the coordinator's; needed for a coordinator on another machine.
    ///   - context: The process's context.
    /// - Returns: A connection that greets once ``beat(greetingLimit:)`` runs.
    /// - Throws: ``MessagingError/cannotOpen(endpoint:cause:)``, ``MessagingError/unprotectedConnection(endpoint:)``.
    public static func connect(
        to endpoint: Endpoint, hello: WorkerHello, keys: PeerKeys? = nil, context: Context
    ) async throws(MessagingError) -> WorkerConnection {
        let link = try await DealerLink.connect(
            to: endpoint, keys: keys, linger: .seconds(1), context: context)
        return WorkerConnection(link: link, hello: hello)
    }

    // MARK: - The two loops

    /// Receives until the connection is closed.
    ///
    /// - Throws: ``MessagingError/refused(endpoint:message:)`` when the coordinator refuses this version.
    public func receive() async throws(MessagingError) {
        defer {
            wordSink.finish()
            rowSink.finish()
            failTransfers()
            wakeWelcomeWaiters()
        }
        while !Task.isCancelled {
            let received: (message: WireMessage, payload: Frame?)
            do {
                received = try await link.receive()
            } catch {
                if case .closed = error { return }
                throw error
            }
            switch received.message {
            case .coordinator(let message): try await handle(message, received.payload)
            case .coordinatorSequence(let orders): for order in orders { try await handle(order, nil) }
            default: continue
            }
        }
    }

    /// Greets and then sends heartbeats, until cancelled or closed.
    ///
    /// - Parameters:
    ///   - greetingLimit: How long to wait for the first welcome.
    ///   - progress: The progress of the current units; called for each heartbeat.
    /// - Throws: ``MessagingError/unreachable(endpoint:waited:)`` when nobody answers the first greeting in time.
    public func beat(
        greetingLimit: Duration, progress: @Sendable () -> [UnitProgress]
    ) async throws(MessagingError) {
        let start = ContinuousClock.now
        var lastSign = start
        while !Task.isCancelled {
            // A welcome to an earlier connection's greeting proves nothing about what was sent on this one.
            if greetedConnection != hello.connection { isWelcome = false }
            if !isWelcome { greetedConnection = hello.connection }
            let units = progress()
            // The wait stays short, so that a new greeting does not wait.
            if !isWelcome || !units.isEmpty
                || lastSign.duration(to: .now) + heartbeatInterval / 2 > idleHeartbeatInterval
            {
                lastSign = .now
                do {
                    try await link.send(.worker(isWelcome ? .heartbeat(hello.worker, units) : .hello(hello)))
                } catch {
                    return
                }
            }
            do { try await Task.sleep(for: isWelcome ? heartbeatInterval : .milliseconds(500)) } catch { return }
            if !isWelcome, !hasEverBeenWelcome, ContinuousClock.now - start > greetingLimit {
                throw lostHandshakes > 2
                    ? .handshakeFailed(endpoint: link.endpoint)
                    : .unreachable(endpoint: link.endpoint, waited: greetingLimit)
            }
        }
    }

    /// Greets again after a break of the connection, because messages of either side may be lost.
    ///
    /// - Throws: ``MessagingError/keyRefused(endpoint:)`` or ``MessagingError/handshakeFailed(endpoint:)`` when the
    ///   coordinator does not accept this worker.
    public func watchConnection() async throws(MessagingError) {
        var isEstablished = false
        for await event in link.channel.events {
            if let error = link.failure(after: event) { throw error }
            switch event {
            case .handshakeSucceeded: isEstablished = true
            case .handshakeFailed: lostHandshakes += 1
            case .disconnected where isEstablished || isWelcome:
                isEstablished = false
                // Needed before the welcome too: the welcome and the units after it may be among the lost messages.
                hello.connection += 1
                guard isWelcome else { continue }
                isWelcome = false
                tellForgotten()
            default: continue
            }
        }
    }

    private var hasEverBeenWelcome = false
    private var lostHandshakes = 0

    /// The messages that wait and the traffic of the socket.
    public nonisolated var statistics: ChannelStatistics { link.channel.statistics }

    /// Whether the coordinator has answered the last greeting, and the connection has not broken since.
    public var isConnected: Bool { isWelcome && !isEnded }

    private func handle(_ message: CoordinatorMessage, _ payload: Frame?) async throws(MessagingError) {
        switch message {
        case .welcome(let coordinator, let interval, let idleInterval):
            heartbeatInterval = max(interval, .milliseconds(20))
            idleHeartbeatInterval = idleInterval
            let isReturn = hasEverBeenWelcome && !isWelcome
            (isWelcome, hasEverBeenWelcome) = (true, true)
            wordSink.yield(.welcomed(coordinator: coordinator))
            wakeWelcomeWaiters()
            if isReturn { try await resumeTransfers() }
        case .unknownWorker:
            guard isWelcome else { return }
            isWelcome = false
            tellForgotten()
            try await link.send(.worker(.hello(hello)))
        case .order(let order): wordSink.yield(.order(order))
        case .rowSum(let order): rowSink.yield(.order(order, rows: payload))
        case .rangeChunk(let transfer, let offset):
            if let payload { downloads[transfer]?.receive(payload, at: offset) }
        case .rangeFailure(let transfer, let message): downloads[transfer]?.fail(message)
        case .uploadCredit(let transfer, let chunks):
            uploads[transfer]?.grant(chunks)
        case .uploadStored(let transfer): uploads[transfer]?.finish(nil)
        case .uploadFailure(let transfer, let message): uploads[transfer]?.finish(message)
        }
    }

    private func tellForgotten() {
        wordSink.yield(.forgotten)
        rowSink.yield(.forgotten)
    }

    // MARK: - Telling

    /// Sends a message at once, even if the coordinator may not receive it.
    ///
    /// - Throws: ``MessagingError/closed(endpoint:)``.
    public func tell(_ message: WorkerMessage, payload: Frame? = nil) async throws(MessagingError) {
        try await link.send(.worker(message), payload: payload)
    }

    /// Sends a message once the coordinator knows the worker; an earlier message would be lost.
    ///
    /// - Throws: ``MessagingError/closed(endpoint:)`` when the connection or the task ends first.
    public func tellWhenWelcome(_ message: WorkerMessage) async throws(MessagingError) {
        try await untilWelcome()
        try await tell(message)
    }

    /// Waits until the coordinator knows the worker.
    ///
    /// - Throws: ``MessagingError/closed(endpoint:)`` when the connection or the task ends first.
    func untilWelcome() async throws(MessagingError) {
        while !isWelcome {
            guard !isEnded, !Task.isCancelled else { throw .closed(endpoint: link.endpoint) }
            await withTaskCancellationHandler {
                await withCheckedContinuation { welcomeWaiters.append($0) }
            } onCancel: {
                // Task because the handler is synchronous. It only wakes the tasks that wait above.
                Task { await wakeWelcomeWaiters() }
            }
        }
    }

    /// Reports a unit's results; when they are too many for a message, it reports a failure on any worker.
    ///
    /// - Returns: Why it failed, or `nil`.
    /// - Throws: ``MessagingError/closed(endpoint:)`` when the connection or the task ends before the message is sent.
    public func tellFinished(
        _ unit: LeasedUnit, _ result: UnitResult, elapsedSeconds: Double, kernelSeconds: Double
    ) async throws(MessagingError) -> String? {
        do {
            try await tellWhenWelcome(
                .finished(unit, result, elapsedSeconds: elapsedSeconds, kernelSeconds: kernelSeconds))
            return nil
        } catch {
            guard case .transferFailed(_, let message) = error else { throw error }
            let sentence = "the unit's results cannot be sent: \(message)"
            try await tellWhenWelcome(.failed(unit, UnitFailure(kind: .badInput, message: sentence)))
            return sentence
        }
    }

    private func wakeWelcomeWaiters() {
        let waiters = welcomeWaiters
        welcomeWaiters = []
        for waiter in waiters { waiter.resume() }
    }

    // MARK: - Downloads

    /// Fetches bytes that the coordinator can read, chunk by chunk, in order.
    ///
    /// - Parameters:
    ///   - source: The source of the bytes.
    ///   - offset: The first byte.
    ///   - byteCount: The number of bytes.
    ///   - consume: Takes each chunk and its offset in the range. Later chunks arrive while it works.
    /// - Throws: ``MessagingError/transferFailed(what:message:)`` when the coordinator cannot read them,
    ///   `CancellationError` when the task is cancelled, or what `consume` throws.
    public nonisolated func fetch(
        _ source: RangeRequest.Source, offset: UInt64, byteCount: UInt64,
        consume: (_ chunk: Frame, _ place: Int) throws -> Void
    ) async throws {
        guard byteCount > 0 else { return }
        let transfer = try await beginDownload(source, offset: offset, byteCount: byteCount)
        do {
            var place: UInt64 = 0
            while place < byteCount {
                let chunk = try await nextChunk(of: transfer)
                try consume(chunk, Int(place))
                place += UInt64(chunk.byteCount)
            }
        } catch {
            await endDownload(transfer)
            throw error
        }
        await endDownload(transfer)
    }

    private func beginDownload(
        _ source: RangeRequest.Source, offset: UInt64, byteCount: UInt64
    ) async throws(MessagingError) -> UInt64 {
        guard !isEnded else { throw .closed(endpoint: link.endpoint) }
        let transfer = nextTransfer
        nextTransfer += 1
        let request = RangeRequest(
            transfer: transfer, source: source, offset: offset, byteCount: byteCount, credit: WireLimits.chunkCredit)
        downloads[transfer] = Download(request: request)
        try await link.send(.worker(.rangeRequest(request)))
        return transfer
    }

    /// Forgets a transfer; a credit of no chunks tells the coordinator that the rest is not wanted.
    private func endDownload(_ transfer: UInt64) async {
        guard let download = downloads.removeValue(forKey: transfer), !download.isComplete else { return }
        try? await link.send(.worker(.rangeCredit(transfer: transfer, chunks: 0)))
    }

    private func nextChunk(of transfer: UInt64) async throws -> Frame {
        while true {
            try Task.checkCancellation()
            guard let download = downloads[transfer] else { throw MessagingError.closed(endpoint: link.endpoint) }
            if let chunk = downloads[transfer]?.take() {
                try await link.send(.worker(.rangeCredit(transfer: transfer, chunks: 1)))
                return chunk
            }
            if let failure = download.failure {
                throw MessagingError.transferFailed(what: "\(download.request.source)", message: failure)
            }
            await withTaskCancellationHandler {
                await withCheckedContinuation { downloads[transfer]?.waiter = $0 }
            } onCancel: {
                // Task because the handler is synchronous. It only wakes the task that waits above.
                Task { await wakeDownload(transfer) }
            }
        }
    }

    private func wakeDownload(_ transfer: UInt64) {
        downloads[transfer]?.wake()
    }

    // MARK: - Uploads

    /// Stores a blob at the coordinator.
    ///
    /// - Parameters:
    ///   - blob: The digest and size of the blob.
    ///   - frame: Reads the bytes of a range of the blob.
    /// - Throws: ``MessagingError/transferFailed(what:message:)`` when the coordinator cannot store it, or what
    ///   `frame` throws.
    public func upload(
        _ blob: BlobReference, frame: @Sendable (_ range: Range<Int>) async throws -> Frame
    ) async throws {
        guard !isEnded else { throw MessagingError.closed(endpoint: link.endpoint) }
        let transfer = nextTransfer
        nextTransfer += 1
        uploads[transfer] = Upload(blob: blob)
        defer { uploads[transfer] = nil }
        try await link.send(.worker(.uploadOffer(transfer: transfer, blob)))
        let byteCount = Int(blob.byteCount)
        while true {
            guard let upload = uploads[transfer] else { throw MessagingError.closed(endpoint: link.endpoint) }
            if let outcome = upload.outcome {
                guard let message = outcome.message else { return }
                throw MessagingError.transferFailed(what: "blob \(blob.digest)", message: message)
            }
            guard upload.credit > 0, upload.sent < byteCount else {
                await withCheckedContinuation { uploads[transfer]?.waiter = $0 }
                continue
            }
            let range = upload.sent..<min(upload.sent + WireLimits.chunkBytes, byteCount)
            uploads[transfer]?.sent = range.upperBound
            uploads[transfer]?.credit -= 1
            // If the offer is repeated meanwhile, the coordinator drops this chunk, because it waits for another one.
            let payload = try await frame(range)
            try await link.send(
                .worker(.uploadChunk(transfer: transfer, offset: UInt64(range.lowerBound))), payload: payload)
        }
    }

    // MARK: - Coordinators that come and go

    /// After a restart of the coordinator, asks again for missing bytes and offers again blobs that were not stored.
    private func resumeTransfers() async throws(MessagingError) {
        for (transfer, download) in downloads {
            try await link.send(.worker(.rangeRequest(download.remainder(transfer: transfer))))
        }
        for (transfer, upload) in uploads where upload.outcome == nil {
            uploads[transfer]?.sent = 0
            uploads[transfer]?.credit = 0
            try await link.send(.worker(.uploadOffer(transfer: transfer, upload.blob)))
        }
    }

    private func failTransfers() {
        isEnded = true
        for transfer in downloads.keys { downloads[transfer]?.fail("the connection was closed") }
        for transfer in uploads.keys { uploads[transfer]?.finish("the connection was closed") }
    }

    /// Sends a farewell and closes the connection.
    public func close(reason: String) async {
        try? await link.send(.worker(.goodbye(reason: reason)))
        await link.channel.close(flushingFor: .seconds(2))
    }
}
