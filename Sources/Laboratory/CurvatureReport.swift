import FileAccess
import Foundation
import Identifiers
import JSONText
public import SystemPackage

/// The values of the daemon's `report.json` that the study uses.
public struct CurvatureReport: Equatable, Sendable {
    /// How strongly task vectors change the tasks' representations: Σ_ℓ tr(B_j Δ_i A_j Δ_iᵀ) + Σ_p δ_iᵀ F_j δ_i.
    ///
    /// Source: DESIGN section 2.3.
    public struct Interference: Equatable, Sendable {
        /// The rows: task vectors, i.
        public let vectors: [String]
        /// The columns: tasks, j.
        public let tasks: [String]
        /// The values, `[vectors][tasks]`; NaN for a value that is not finite.
        public let raw: [[Double]]
        /// The values divided by each task's own value; nil when a task has no vector or its own value is 0.
        public let normalized: [[Double?]]
    }

    /// The matrix; nil for a job without task vectors.
    public let interference: Interference?
    /// ‖Σ λ_t B_t ⊗ A_t − c B ⊗ A‖ / ‖Σ λ_t B_t ⊗ A_t‖ of equation 8, by layer and target.
    public let accumulationErrors: [String: [String: Double]]
    /// The same errors for the form `optimal`; empty for jobs of other forms.
    public let optimalErrors: [String: [String: Double]]

    /// The most bytes of a report.
    private static let byteCountMax = 512 << 20

    /// Reads a report.
    ///
    /// - Throws: ``LaboratoryError/invalidReport(file:problem:)``, ``LaboratoryError/json(_:)`` for text that is not
    ///   JSON, or ``LaboratoryError/file(_:)``.
    public init(reading path: FilePath) throws(LaboratoryError) {
        let bytes = try Laboratory.reading { () throws(FileError) in
            try WholeFile.read(path, limit: Self.byteCountMax)
        }
        let root: JSONValue
        do throws(JSONError) { root = try JSONValue(parsing: bytes, file: path) } catch { throw .json(error) }
        if let problem = FormatVersion.report.problem(with: root["format"]?.stringValue, oldest: 1) {
            throw .otherFormat(file: path, problem)
        }
        interference = try Self.interference(root["interference"] ?? .null, path)
        accumulationErrors = Self.errors("accumulation_error", of: root)
        optimalErrors = Self.errors("optimal_error", of: root)
    }

    private static func interference(_ value: JSONValue, _ path: FilePath) throws(LaboratoryError) -> Interference? {
        guard value != .null else { return nil }
        guard let vectors = value["task_vectors"]?.elements, let tasks = value["tasks"]?.elements,
            let raw = value["matrix"]?.elements, let normalized = value["normalized"]?.elements,
            raw.count == vectors.count, normalized.count == vectors.count,
            (raw + normalized).allSatisfy({ $0.elements?.count == tasks.count })
        else { throw .invalidReport(file: path, problem: "\"interference\" is no matrix of task vectors and tasks") }
        return Interference(
            vectors: vectors.compactMap(\.stringValue), tasks: tasks.compactMap(\.stringValue),
            raw: raw.map { ($0.elements ?? []).map { $0.double ?? .nan } },
            normalized: normalized.map { ($0.elements ?? []).map(\.double) })
    }

    private static func errors(_ key: String, of root: JSONValue) -> [String: [String: Double]] {
        var errors: [String: [String: Double]] = [:]
        for layer in root["layers"]?.elements ?? [] {
            guard let name = layer["name"]?.stringValue, let members = layer[key]?.members else { continue }
            for member in members { errors[name, default: [:]][member.key] = member.value.double ?? .nan }
        }
        return errors
    }
}

extension JSONValue {
    fileprivate var elements: [JSONValue]? {
        guard case .array(let elements) = self else { return nil }
        return elements
    }

    fileprivate var double: Double? {
        guard case .number(let digits) = self else { return nil }
        return Double(digits)
    }
}
