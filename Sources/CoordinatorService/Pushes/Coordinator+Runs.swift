import Foundation
import Identifiers
import Logging
import Messaging
import PushedRuns
import WireProtocol
import ZeroMQ

/// Passes on pushes, and shows the runs.
extension Coordinator {
    /// Passes a client's push message to the desk; chunks do not pass through this actor.
    nonisolated func receive(
        _ request: PushQueue.Entry.Request, number: UInt64, from peer: RoutingIdentity
    ) async {
        switch pushes.add(request, number: number, from: peer) {
        case .added: return
        case .full:
            let sentence = "its push exceeds its credit; every chunk needs its answer before more may follow"
            logger.warning(
                "a client's connection was ended",
                metadata: ["peer": "\(endpoint.name(of: peer))", "cause": "\(sentence)"])
            await endpoint.end(peer, because: sentence)
            pushes.tell(.gone, about: peer)
        case .stranger:
            await refuse(number, peer, .busy, "it is not open (any more). Offer the file again.")
        case .crowded: await refuse(number, peer, .busy, "too many offers wait. Try again later.")
        }
    }

    nonisolated private func refuse(
        _ number: UInt64, _ peer: RoutingIdentity, _ kind: RequestFailure.Kind, _ sentence: String
    ) async {
        await endpoint.send(.reply(number, .failure(RequestFailure(kind: kind, at: "the push", sentence))), to: peer)
    }

    /// The pushed runs, for clients and the status page.
    var runList: RunList {
        let usage = runs.usage
        return RunList(
            runs: runs.summaries(at: Date.now.timeIntervalSince1970).map(RunReport.init), byteCount: usage.used,
            byteCountMax: usage.limit)
    }
}

extension RunReport {
    init(_ summary: RunSummary) {
        self.init(
            run: summary.run, senders: summary.senders, ranks: summary.rankCount, files: summary.wholeCount,
            unfinishedFiles: summary.unfinishedCount, missing: summary.missingCount,
            arrivedBytes: summary.arrivedBytes, announcedBytes: summary.announcedBytes, ageSeconds: summary.age,
            idleSeconds: summary.idle, jobs: summary.jobs)
    }
}

extension RequestFailure {
    /// Makes a refusal by the runs into the failure of a request.
    init(_ error: RunStoreError) {
        self.init(kind: error.isPermanent ? .badInput : .world, at: error.subject, error.problem)
    }
}
