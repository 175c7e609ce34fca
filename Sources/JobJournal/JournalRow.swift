public import Foundation
import Identifiers
public import Scheduling
import UnitOperations

/// A fact as the database holds it: its kind, and a JSON body that other tools can read.
public struct JournalRow: Sendable {
    /// The kinds of facts, with their words in the database.
    public enum Kind: String, Sendable {
        /// A job was accepted.
        case jobAccepted = "job_accepted"
        /// A unit's result is known.
        case unitFinished = "unit_finished"
        /// A unit failed.
        case unitFailed = "unit_failed"
        /// A job ended.
        case jobEnded = "job_ended"
    }

    /// The job that the fact is about.
    public let job: String
    /// The kind of fact.
    public let kind: Kind
    /// The fact as JSON in UTF-8, keys sorted.
    public let body: Data

    /// The body of a finished unit's row, which ``FinishedUnitText`` writes.
    struct Finished: Codable {
        var unit: UnitReference
        var executor: UnitExecutorName
        var result: UnitResult
        var duration: UnitTiming
        var key: UnitKey?
        /// Absent in records of versions without regimes.
        ///
        /// Later jobs do not use results without a regime.
        var regime: NumericRegime?
    }

    private struct Failed: Codable {
        var unit: UnitReference
        var executor: UnitExecutorName
        var failure: UnitFailure
    }

    private struct Ended: Codable {
        var job: JobID
        var outcome: JobOutcome
        var finishedUnits: Int?
    }

    /// Encodes a fact.
    ///
    /// - Throws: `EncodingError` for a fact that JSON cannot hold.
    public init(_ record: JournalRecord) throws {
        switch record {
        case .jobAccepted(let header):
            (job, kind, body) = (header.id.rawValue, .jobAccepted, try Self.encode(header))
        case .unitFinished(let unit, let executor, let result, let duration, let key):
            (job, kind) = (unit.job.rawValue, .unitFinished)
            body = FinishedUnitText.body(of: unit, by: executor, result, in: duration, key: key)
        case .unitFailed(let unit, let executor, let failure):
            let value = Failed(unit: unit, executor: executor, failure: failure)
            (job, kind, body) = (unit.job.rawValue, .unitFailed, try Self.encode(value))
        case .jobEnded(let id, let outcome, let finishedUnits):
            let value = Ended(job: id, outcome: outcome, finishedUnits: finishedUnits)
            (job, kind, body) = (id.rawValue, .jobEnded, try Self.encode(value))
        }
    }

    private static func encode(_ value: some Encodable) throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(value)
    }

    /// Decodes a fact from bytes that may be damaged.
    ///
    /// - Parameters:
    ///   - kind: The word for the kind.
    ///   - body: The JSON body.
    /// - Returns: The fact.
    /// - Throws: ``JournalRowError`` for an unknown kind, `DecodingError` for a body that does not fit its kind.
    public static func record(kind: String, body: Data) throws -> JournalRecord {
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        switch Kind(rawValue: kind) {
        case .jobAccepted: return .jobAccepted(try decoder.decode(JobHeader.self, from: body))
        case .unitFinished:
            let value = try decoder.decode(Finished.self, from: body)
            let key = value.key.flatMap { key in value.regime.map { ResultKey(key, in: $0) } }
            return .unitFinished(value.unit, value.executor, value.result, value.duration, key)
        case .unitFailed:
            let value = try decoder.decode(Failed.self, from: body)
            return .unitFailed(value.unit, value.executor, value.failure)
        case .jobEnded:
            let value = try decoder.decode(Ended.self, from: body)
            return .jobEnded(value.job, value.outcome, finishedUnits: value.finishedUnits)
        case nil: throw JournalRowError.unknownKind(kind)
        }
    }
}

/// Why a row of the journal is not a fact.
public enum JournalRowError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The kind is unknown.
    case unknownKind(String)

    /// The error as a clause for the journal's error.
    public var description: String {
        switch self {
        case .unknownKind(let kind): "its kind \"\(kind)\" is unknown"
        }
    }
}
