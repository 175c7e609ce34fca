public import WireProtocol

/// Reports about units and blobs, several of which share a message.
extension WorkerConnection {
    /// The most blobs and numbers of a report that shares its message with others.
    public static let joinedItemsMax = 64

    /// Queues a report about units or blobs behind earlier ones.
    ///
    /// It leaves within some milliseconds, and not before the coordinator knows the worker.
    ///
    /// - Parameters:
    ///   - report: A message that can be joined with others.
    ///   - canWait: Whether it may wait for others; otherwise all reports are sent now, if the coordinator knows the
    ///     worker.
    /// - Throws: ``MessagingError/closed(endpoint:)`` when the connection or the task ends first.
    public nonisolated func report(_ report: WorkerMessage, canWait: Bool) async throws(MessagingError) {
        precondition(report.canBeJoined, "a report of a worker must stand alone: \(report)")
        if reports.add(report) {
            try await sendReportsWhenWelcome()
        } else if !canWait {
            try await sendReports()
        }
    }

    /// Sends the reports that wait, if the coordinator knows the worker.
    ///
    /// - Throws: ``MessagingError/closed(endpoint:)`` when the connection ends first.
    public nonisolated func sendReports() async throws(MessagingError) {
        if !reports.isEmpty, await isWelcome { try await sendReportsWhenWelcome() }
    }

    private func sendReportsWhenWelcome() async throws(MessagingError) {
        while true {
            try await untilWelcome()
            // Between taking and queueing nothing is awaited, so messages keep the order of their words.
            let words = reports.take()
            guard let first = words.first else { return }
            try await link.send(words.count == 1 ? .worker(first) : .workerSequence(words))
        }
    }

    /// Sends reports after they have waited for others, until cancelled.
    ///
    /// - Throws: ``MessagingError/closed(endpoint:)`` when the connection ends.
    public nonisolated func sendWaitingReports() async throws(MessagingError) {
        for await _ in reports.arrivals {
            try? await Task.sleep(for: WaitingReports.delay)
            if !reports.isEmpty { try await sendReportsWhenWelcome() }
        }
    }
}
