import Console
import Foundation
import Identifiers
import TaskArithmetic

/// The interference of a job's task vectors, as its report states it.
struct MeasuredInterference {
    /// One layer, or another parameter with curvature.
    struct Layer {
        let name: String
        /// I[i][j], `[vectors][tasks]`; `nil` where the task has no curvature.
        let matrix: [[Double?]]
    }

    /// The rows of every matrix: the task vectors.
    let vectors: [String]
    /// The columns: the tasks with curvature.
    let tasks: [String]
    /// The job's weight of each vector; `nil` for one that depends on the tensor.
    let weights: [Double?]
    /// The weight of each task's curvature, from which its share λ follows.
    let curvatureWeights: [Double]
    /// I[i][j] over all layers, `[vectors][tasks]`; `nil` for a vector without weight that is not finite.
    let matrix: [[Double?]]
    /// The same, divided by I[j][j]; `nil` where that is 0 or not there.
    let normalized: [[Double?]]
    /// The pairs of vectors under each task's curvature; `nil` if the job has too many tasks for a report of them.
    let forms: [InterferenceForm]?
    /// The share of each vector's ‖Δ‖² where no task has curvature; `nil` for one that is 0 or not finite.
    let uncoveredShares: [Double?]
    /// The layers, by name.
    let layers: [Layer]
    /// The job's merge method.
    let method: String
    /// Whether the method divides the weights by their sum.
    let dividesWeights: Bool
    /// The job's α, 1 under a method without one; `nil` for one that depends on the tensor.
    let lambda: Double?

    /// Reads a report.
    ///
    /// - Parameters:
    ///   - bytes: The report's text.
    ///   - place: The report in words, for messages.
    /// - Throws: ``CommandFailure`` for another format, and for a job that measured no interference between tasks.
    init(parsing bytes: [UInt8], of place: String) throws {
        guard let report = try? JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any] else {
            throw CommandFailure(
                .badInput, "\(place): is not the JSON of a report; expected the \"report.json\" of a job. Name another."
            )
        }
        if let problem = FormatVersion.report.problem(with: report["format"] as? String) {
            throw CommandFailure(.badInput, "\(place): \(problem)")
        }
        guard let found = report["interference"] as? [String: Any] else {
            throw CommandFailure(.badInput, "\(place): \(Self.absence(in: report))")
        }
        let options = report["options"] as? [String: Any] ?? [:]
        method = options["merge_method"] as? String ?? ""
        dividesWeights = options["normalize"] as? Bool ?? false
        lambda = options["lambda"] == nil ? 1 : Self.number(options["lambda"])
        vectors = found["task_vectors"] as? [String] ?? []
        let tasks = found["tasks"] as? [String] ?? []
        self.tasks = tasks
        let curvature = (report["tasks"] as? [[String: Any]] ?? []).map {
            ($0["name"] as? String ?? "", Self.number($0["curvature_weight"]))
        }
        curvatureWeights = tasks.map { task in curvature.first { $0.0 == task }?.1 ?? 1 }
        weights = Self.numbers(found["weights"])
        matrix = Self.matrix(found["matrix"])
        normalized = Self.matrix(found["normalized"])
        // A vector without finite values has no weight, so any value may stand for its own.
        let forms = (found["pairs"] as? [String: Any]).map { pairs in
            tasks.compactMap { task in
                InterferenceForm(lowerTriangle: Self.matrix(pairs[task]).map { $0.map { $0 ?? 0 } })
            }
        }
        self.forms = forms
        let norms = found["squared_norms"] as? [String: Any] ?? [:]
        uncoveredShares = zip(Self.numbers(norms["with_curvature"]), Self.numbers(norms["without_curvature"])).map {
            guard let with = $0, let without = $1, with + without > 0 else { return nil }
            return without / (with + without)
        }
        layers = (found["layers"] as? [String: Any] ?? [:]).map { Layer(name: $0, matrix: Self.matrix($1)) }
            .sorted { $0.name < $1.name }
        let (rows, columns) = (vectors.count, tasks.count)
        func fits(_ matrix: [[Double?]]) -> Bool { matrix.count == rows && matrix.allSatisfy { $0.count == columns } }
        guard fits(matrix), fits(normalized), layers.allSatisfy({ fits($0.matrix) }), weights.count == rows,
            uncoveredShares.count == rows, forms?.count ?? columns == columns,
            forms?.allSatisfy({ $0.vectorCount == rows }) ?? (found["pairs"] is NSNull)
        else {
            throw CommandFailure(
                .badInput,
                "\(place): \"interference\" is no matrix of \(rows) task vectors and \(columns) tasks with the forms of "
                    + "their pairs. The report is damaged; run the job again.")
        }
        guard vectors.contains(where: { vector in tasks.contains { $0 != vector } }) else {
            throw CommandFailure(
                .badInput,
                "\(place): the job has one task, \"\(vectors.first ?? "")\"; expected at least two, since interference "
                    + "is between tasks. Name a job with more models.")
        }
    }

    /// The position of a task's own vector; `nil` for a task without a model.
    func vector(of task: Int) -> Int? { vectors.firstIndex(of: tasks[task]) }

    /// The pairs of a vector and another task.
    var pairs: [(vector: Int, task: Int)] {
        vectors.indices.flatMap { vector in
            tasks.indices.filter { tasks[$0] != vectors[vector] }.map { (vector, $0) }
        }
    }

    // MARK: - Reading

    /// Why a report has no interference, and what to do.
    private static func absence(in report: [String: Any]) -> String {
        let tasks = report["tasks"] as? [[String: Any]] ?? []
        if !tasks.contains(where: { number($0["curvature_weight"]) != nil }) {
            return JobReference.noCurvature
        }
        if !tasks.contains(where: { $0["has_checkpoint"] as? Bool == true }) {
            return JobReference.noModels
        }
        return
            "the job measured no interference, since \"kfac.interference\" is false. Name the job file itself, which "
            + "measures it."
    }

    private static func number(_ value: Any?) -> Double? { (value as? NSNumber)?.doubleValue }

    private static func numbers(_ value: Any?) -> [Double?] { (value as? [Any] ?? []).map(number) }

    private static func matrix(_ value: Any?) -> [[Double?]] { (value as? [Any] ?? []).map(numbers) }
}
