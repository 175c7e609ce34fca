import Identifiers
import JSONText
import JobPlan
import TaskArithmetic
import UnitOperations

/// The part of a report about the interference of task vectors.
///
/// Rows of a matrix are task vectors, columns are the tasks whose representations they move. A form of pairs is a lower
/// triangle over the task vectors, for one task.
///
/// Source: DESIGN section 2.3.
struct InterferenceSection {
    let plan: JobPlan
    /// A finished unit's result.
    let result: (UnitIndex) -> UnitResult?

    /// The most numbers of each kind that are listed by layer.
    private static let layerNumbersMax = 200_000
    /// The most tasks whose pairs are listed in total: there are half as many numbers as the cube of it.
    private static let pairedTasksMax = 150

    private var vectors: [TaskName] { plan.spec.mergedTasks.map(\.name) }
    private var tasks: [TaskName] { plan.spec.curvedTasks.map(\.name) }

    /// What the units of a block measured under a task's curvature.
    private struct Values {
        var diagonal: [Double] = []
        var pairs: [Double] = []
        var squaredNorms: [Double] = []

        init(_ measurements: [MeasurementName: [Double]]?, vectorCount: Int) {
            guard let diagonal = measurements?[.penalties], diagonal.count == vectorCount else { return }
            self.diagonal = diagonal
            let pairs = measurements?[.pairPenalties] ?? []
            if pairs.count == vectorCount * (vectorCount - 1) / 2 { self.pairs = pairs }
            squaredNorms = measurements?[.squaredNorms] ?? []
        }

        /// The lower triangle, or nil without values.
        var triangle: [[Double]]? {
            guard !diagonal.isEmpty, pairs.count == diagonal.count * (diagonal.count - 1) / 2 else { return nil }
            return diagonal.indices.map { row in
                Array(pairs[row * (row - 1) / 2..<row * (row + 1) / 2]) + [diagonal[row]]
            }
        }
    }

    /// The members; null for a job that does not measure it.
    var json: JSONValue {
        let (vectors, tasks) = (vectors, tasks)
        guard tasks.contains(where: { !plan.products.outputs(for: .interference(with: $0)).isEmpty }) else {
            return .null
        }
        let columns = tasks.map { task in
            plan.blocks.map { block in
                Values(
                    plan.products[block.name, .interference(with: task)].flatMap { result($0.unit) }?.measurements,
                    vectorCount: vectors.count)
            }
        }
        let matrix = vectors.indices.map { vector in
            columns.map { $0.reduce(0) { $0 + ($1.diagonal.isEmpty ? 0 : $1.diagonal[vector]) } }
        }
        let layers = plan.blocks.indices.map { block in
            vectors.indices.map { vector in
                columns.map { $0[block].diagonal.isEmpty ? nil : $0[block].diagonal[vector] }
            }
        }
        return .object([
            .init("task_vectors", .array(vectors.map { .string($0.rawValue) })),
            .init("tasks", .array(tasks.map { .string($0.rawValue) })),
            .init("weights", .array(plan.spec.mergedTasks.map(weight))),
            .init("matrix", Self.json(matrix)),
            .init("normalized", Self.json(normalized(matrix))),
            .init("pairs", pairs(columns)),
            .init("squared_norms", norms(columns)),
            .init("layers", byLayer(layers.map { Self.json($0) })),
            .init("normalized_layers", bounded { byLayer(layers.map { Self.json(normalized($0)) }) }),
            .init("pair_layers", pairLayers(columns)),
        ])
    }

    // MARK: - Matrices

    /// The values divided by those of each task's own vector; nil where that is 0 or not there.
    private func normalized(_ matrix: [[Double?]]) -> [[Double?]] {
        let own = tasks.map { task in vectors.firstIndex(of: task) }
        return matrix.map { row in
            zip(row, own.enumerated()).map { value, place in
                guard let value, let vector = place.element, let own = matrix[vector][place.offset], own > 0 else {
                    return nil
                }
                return value / own
            }
        }
    }

    private func byLayer(_ values: [JSONValue]) -> JSONValue {
        .object(zip(plan.blocks, values).map { .init($0.name, $1) })
    }

    /// A list by layer if it is short enough, or null.
    private func bounded(numbersOfLayer count: Int? = nil, _ make: () -> JSONValue) -> JSONValue {
        let count = count ?? vectors.count * tasks.count
        return plan.blocks.count * count <= Self.layerNumbersMax ? make() : .null
    }

    private static func json(_ matrix: [[Double?]]) -> JSONValue {
        .array(matrix.map { .array($0.map { $0.map(JSONValue.of) ?? .null }) })
    }

    // MARK: - Pairs

    /// The sums over layers for each task, or null for too many tasks.
    private func pairs(_ columns: [[Values]]) -> JSONValue {
        guard max(vectors.count, tasks.count) <= Self.pairedTasksMax else { return .null }
        return .object(zip(tasks, columns).map { .init($0.rawValue, sum($1)) })
    }

    /// The sum of a task's forms over the layers in which it has curvature.
    private func sum(_ column: [Values]) -> JSONValue {
        var sum = vectors.indices.map { [Double](repeating: 0, count: $0 + 1) }
        for triangle in column.compactMap(\.triangle) {
            for row in triangle.indices {
                for place in triangle[row].indices { sum[row][place] += triangle[row][place] }
            }
        }
        return Self.json(sum)
    }

    private func pairLayers(_ columns: [[Values]]) -> JSONValue {
        bounded(numbersOfLayer: vectors.count * (vectors.count + 1) / 2 * tasks.count) {
            byLayer(
                plan.blocks.indices.map { block in
                    .object(
                        zip(tasks, columns).map { task, column in
                            .init(task.rawValue, column[block].triangle.map { Self.json($0) } ?? .null)
                        })
                })
        }
    }

    // MARK: - Vectors

    /// A task vector's weight in the job; null for one that depends on the tensor.
    private func weight(_ task: TaskSpec) -> JSONValue {
        switch task.parameters[.weight] ?? plan.spec.parameters[.weight] {
        case nil: .of(1)
        case .scalar(let value): .of(value)
        case .gradient, .filtered, .word, .bySlice: .null
        }
    }

    /// ‖Δ‖² of each task vector in the layers with curvature of any task, and in all other merged tensors.
    private func norms(_ columns: [[Values]]) -> JSONValue {
        var covered = [Double](repeating: 0, count: vectors.count)
        for block in plan.blocks.indices {
            guard let values = columns.lazy.map({ $0[block].squaredNorms }).first(where: { !$0.isEmpty }) else {
                continue
            }
            for (vector, value) in values.enumerated() { covered[vector] += value }
        }
        var others = [Double](repeating: 0, count: vectors.count)
        for (_, output) in plan.products.outputs(for: .norms) {
            for (vector, value) in (result(output.unit)?.measurements[.squaredNorms] ?? []).enumerated()
            where others.indices.contains(vector) { others[vector] += value }
        }
        return .object([
            .init("with_curvature", .array(covered.map(JSONValue.of))),
            .init("without_curvature", .array(others.map(JSONValue.of))),
        ])
    }
}
