import Foundation
import Identifiers
import Logging
import Messaging
import PushedRuns
import UnitOperations
import WireProtocol
import ZeroMQ

/// Passes on pushes, and shows the runs.
extension Coordinator {
    /// Passes a client's message about a push to its desk; bytes do not pass through this actor.
    nonisolated func receive(
        _ request: ClientRequest, _ payload: Frame?, number: UInt64, from peer: RoutingIdentity
    ) async {
        // A chunk without bytes is refused as any other wrong one.
        let bytes = payload ?? Frame([])
        let outcome: PeerQueueOutcome
        switch request {
        case .pushOffer(let offer):
            switch offer.content {
            case .file(let content):
                // A connection has one push.
                rowStreams.tell(.gone, about: peer)
                outcome = pushes.add(.offer(offer, content), number: number, from: peer, needsOpening: false)
            case .rows(let rows):
                pushes.tell(.gone, about: peer)
                outcome = rowStreams.add(.offer(offer, rows), number: number, from: peer, needsOpening: false)
            }
        case .pushChunk(let offset):
            outcome = pushes.add(.chunk(offset: offset, bytes), number: number, from: peer, needsOpening: true)
        case .pushRows(let rows):
            outcome = rowStreams.add(.rows(rows, bytes), number: number, from: peer, needsOpening: true)
        case .pushCommit(let metadata):
            outcome = rowStreams.add(.commit(metadata: metadata), number: number, from: peer, needsOpening: true)
        default: return
        }
        switch outcome {
        case .added: return
        case .full:
            let sentence = "its push exceeds its credit; every message needs its answer before more may follow"
            logger.warning(
                "a client's connection was ended",
                metadata: ["peer": "\(endpoint.name(of: peer))", "cause": "\(sentence)"])
            await endpoint.end(peer, because: sentence)
            tellGone(peer)
        case .stranger: await endpoint.send(.reply(number, .failure(request.notOpen)), to: peer)
        case .crowded: await refuse(number, peer, .busy, "too many offers wait. Try again later.")
        }
    }

    /// Ends the push of a client that is gone.
    nonisolated func tellGone(_ peer: RoutingIdentity) {
        pushes.tell(.gone, about: peer)
        rowStreams.tell(.gone, about: peer)
    }

    /// Passes on what a worker says of sums of rows.
    nonisolated func receive(_ word: RowSumWord, _ payload: Frame?, from peer: RoutingIdentity) async {
        switch rowStreams.add(.word(word, payload), from: peer, needsOpening: true) {
        case .added: return
        // Its conversation has ended, so that its sums are void.
        case .stranger, .crowded: return
        case .full:
            await end(
                peer, because: "its words about rows exceed what it was asked for; is it a worker of this version?")
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

extension ClientRequest {
    /// The failure of a message about a push that is not open.
    fileprivate var notOpen: RequestFailure {
        switch self {
        case .pushRows, .pushCommit: .streamNotOpen
        default:
            RequestFailure(kind: .busy, at: "the push", "it is not open (any more). Offer the file again.")
        }
    }
}

extension RequestFailure {
    /// The failure of rows whose stream has ended.
    static let streamNotOpen = RequestFailure(
        kind: .busy, at: "the stream",
        "it is not open (any more). Offer it again, and send its rows from the first one on.")
}
