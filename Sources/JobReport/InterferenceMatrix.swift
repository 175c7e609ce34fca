import JSONText

/// How strongly each task vector (row) moves each task's representations (column).
///
/// Source: DESIGN section 2.3.
struct InterferenceMatrix {
    let vectors: [String]
    let tasks: [String]
    /// I[i][j]; NaN where it is null.
    let values: [[Double]]
    /// I[i][j] / I[j][j]; NaN where it is null.
    let normalized: [[Double]]
    /// The values of each layer, by name.
    let layers: [JSONValue.Member]

    /// The matrix of a report; `nil` without one, or if its sides do not fit.
    init?(_ report: JSONValue) {
        guard let found = report["interference"], found != .null else { return nil }
        vectors = found["task_vectors"]?.strings ?? []
        tasks = found["tasks"]?.strings ?? []
        values = found["matrix"]?.elements.map(\.numbers) ?? []
        normalized = found["normalized"]?.elements.map(\.numbers) ?? []
        layers = found["layers"]?.entries ?? []
        let taskCount = tasks.count
        guard !vectors.isEmpty, taskCount > 0,
            [values, normalized].allSatisfy({ matrix in
                matrix.count == vectors.count && matrix.allSatisfy { $0.count == taskCount }
            })
        else { return nil }
    }

    /// An entry of a vector and a task of another name.
    struct Pair {
        let vector: Int
        let task: Int
        let value: Double
        let normalized: Double
    }

    /// The entries of a vector and another task that are known, in the order of the matrix.
    var pairs: [Pair] {
        vectors.indices.flatMap { vector in
            tasks.indices.compactMap { task in
                guard vectors[vector] != tasks[task], values[vector][task].isFinite else { return nil }
                return Pair(
                    vector: vector, task: task, value: values[vector][task], normalized: normalized[vector][task])
            }
        }
    }

    /// What one layer adds to the entries of a vector and another task.
    struct LayerPart {
        let name: String
        let sum: Double
        let vector: Int
        let task: Int
        /// The largest of these entries.
        let largest: Double
    }

    /// The parts of all layers that have any.
    var layerParts: [LayerPart] {
        layers.compactMap { layer in
            var (sum, best) = (0.0, (vector: 0, task: 0, value: -Double.infinity))
            for (vector, row) in zip(vectors.indices, layer.value.elements) {
                for (task, value) in zip(tasks.indices, row.numbers)
                where vectors[vector] != tasks[task] && value.isFinite {
                    sum += value
                    if value > best.value { best = (vector, task, value) }
                }
            }
            guard best.value > -.infinity else { return nil }
            return LayerPart(name: layer.key, sum: sum, vector: best.vector, task: best.task, largest: best.value)
        }
    }
}
