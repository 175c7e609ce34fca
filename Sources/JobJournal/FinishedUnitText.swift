import Foundation
import Hashing
import Identifiers
import JSONText
import Scheduling
import UnitOperations

/// The body of a finished unit's row.
///
/// A job has as many of these rows as units, so they are written without an encoder: the bytes are those that
/// `JSONEncoder` would write for ``JournalRow/Finished``, with which they are read.
enum FinishedUnitText {
    /// Writes the body.
    static func body(
        of unit: UnitReference, by executor: UnitExecutorName, _ result: UnitResult, in duration: UnitTiming,
        key: ResultKey?
    ) -> Data {
        var members = [
            JSONValue.Member(
                "duration",
                object(
                    ("elapsedSeconds", number(duration.elapsedSeconds)),
                    ("kernelSeconds", number(duration.kernelSeconds)))),
            JSONValue.Member("executor", self.executor(executor)),
        ]
        if let key {
            members.append(.init("key", object(("digest", .string(key.unit.digest.description)))))
            members.append(
                .init(
                    "regime",
                    object(("elements", .string(key.regime.elements)), ("kernels", .string(key.regime.kernels)))))
        }
        members.append(.init("result", self.result(result)))
        members.append(
            .init(
                "unit",
                object(
                    ("job", .string(unit.job.rawValue)), ("unit", object(("position", count(unit.unit.position)))))))
        return Data(JSONValue.object(members).text().utf8)
    }

    private static func executor(_ executor: UnitExecutorName) -> JSONValue {
        switch executor {
        case .coordinator: object(("coordinator", .object([])))
        case .earlierWork: object(("earlierWork", .object([])))
        case .worker(let worker): object(("worker", object(("_0", .string(worker.rawValue)))))
        }
    }

    private static func result(_ result: UnitResult) -> JSONValue {
        let blobs = result.blobs.map { blob in
            object(("byteCount", count(blob.byteCount)), ("digest", .string(blob.digest.description)))
        }
        let measurements = result.measurements.map { name, numbers in
            JSONValue.Member(name.rawValue, .array(numbers.map(number)))
        }
        var members = [
            JSONValue.Member("blobs", .array(blobs)),
            JSONValue.Member("measurements", .object(measurements.sorted { $0.key < $1.key })),
        ]
        if let placed = result.placed {
            let places = placed.map { JSONValue.Member("\($0.key)", .string($0.value.description)) }
            members.append(.init("places", .object(places.sorted { $0.key < $1.key })))
        }
        return .object(members)
    }

    private static func object(_ members: (key: String, value: JSONValue)...) -> JSONValue {
        .object(members.map { JSONValue.Member($0.key, $0.value) })
    }

    private static func count(_ value: some BinaryInteger) -> JSONValue { .number("\(value)") }

    /// A number, or the word for one that JSON does not have: a measured eigenvalue may be unknown or infinite.
    private static func number(_ value: Double) -> JSONValue {
        guard value.isFinite else { return .string(value.isNaN ? "nan" : value > 0 ? "inf" : "-inf") }
        let text = value.description
        return .number(text.hasSuffix(".0") ? String(text.dropLast(2)) : text)
    }
}
