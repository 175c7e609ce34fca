import FileAccess
import Logging
import Messaging
import PrometheusMetrics
import Supervision
import Telemetry
import ZeroMQ

/// What a worker shows to its operator.
extension Worker {
    /// Sets the sources for the lanes, the queue and the connection.
    func show(_ lanes: [LaneProgress], _ parts: WorkerParts) {
        for lane in lanes { supervision.health.watch(lane) }
        let (readiness, progress) = (supervision.readiness, progress)
        supervision.metrics.collect {
            var samples = LaneProgress.Activity.allCases.map { state in
                MetricSample("kfacd_lanes", [state.rawValue], lanes.count { $0.activity == state })
            }
            samples.append(MetricSample("kfacd_queued_units", [], parts.queue.count))
            samples.append(MetricSample("kfacd_ready", [], readiness.reason == nil ? 1 : 0))
            return samples + NetworkMetrics.samples(dealer: parts.connection.statistics)
        }
        supervision.describe {
            let count = progress.progress.count
            let units = "\(count) unit\(count == 1 ? "" : "s") under way"
            if let reason = readiness.reason { return "\(reason), \(units)" }
            return "\(units), \(parts.queue.count) queued"
        }
        supervision.show { [.table(Self.table(of: lanes))] }
    }

    /// The most lanes that the status page shows.
    private static let lanesShownMax = 200

    private static func table(of lanes: [LaneProgress]) -> StatusTable {
        StatusTable("Lanes", columns: ["lane", "activity", "unit"], of: lanes, limit: lanesShownMax) { lane in
            let current = lane.current
            let mood: StatusTable.Mood = current.activity == .idle ? .idle : .active
            return [
                .number("\(lane.number)"), .state(current.activity.rawValue, mood), .text(current.title ?? ""),
            ]
        }
    }

    /// Reports at once why the coordinator cannot be reached; the worker goes on waiting, because that may change.
    func tellUnreachability(_ connection: WorkerConnection) async {
        let endpoint = configuration.coordinator
        guard let cause = await endpoint.unreachability(within: .seconds(10)), await !connection.isConnected else {
            return
        }
        logger.warning(
            "the coordinator cannot be reached; waiting for it",
            metadata: [LogKeys.endpoint: "\(endpoint)", LogKeys.cause: "\(cause)"])
    }

    /// How often a worker says that it has no descriptor for a connection.
    private static let newsPeriod: Duration = .seconds(60)

    /// Asks the connection for an answer at intervals, so that its silence is noticed.
    ///
    /// Without a descriptor libzmq tries again and again to connect, and says nothing.
    func askConnection(_ connection: WorkerConnection) async {
        let pulse = ReplyPulse("the connection to the coordinator", limit: .seconds(60))
        supervision.health.watch(pulse)
        var told: ContinuousClock.Instant?
        while !Task.isCancelled {
            let isConnected = await connection.isConnected
            pulse.noteReply()
            if !isConnected, told.map({ .now - $0 >= Self.newsPeriod }) ?? true, DescriptorLimit.isReached {
                told = .now
                logger.warning(
                    "the coordinator cannot be reached; waiting for it",
                    metadata: [
                        LogKeys.endpoint: "\(configuration.coordinator)",
                        LogKeys.cause: "this process has no descriptor left. \(DescriptorLimit.remedy)",
                    ])
            }
            try? await Task.sleep(for: .seconds(1))
        }
        pulse.end()
    }
}
