/// What a layer has of the interference between tasks.
struct LayerInterference {
    let name: String
    /// Its share of the sum over all layers and pairs, each pair relative to the task's own vector.
    let share: Double
    /// The pair that is strongest in the layer, and its strength relative to the task's own vector in this layer.
    let vector: String
    let task: String
    let strength: Double?

    /// All layers, the strongest first.
    static func all(of measured: MeasuredInterference) -> [LayerInterference] {
        let found = measured.layers.compactMap { layer -> (layer: LayerInterference, sum: Double)? in
            let pairs = measured.pairs.compactMap { pair -> (vector: Int, task: Int, value: Double)? in
                guard let own = measured.vector(of: pair.task), let whole = measured.matrix[own][pair.task], whole > 0,
                    let value = layer.matrix[pair.vector][pair.task]
                else { return nil }
                return (pair.vector, pair.task, value / whole)
            }
            guard let most = pairs.max(by: { $0.value < $1.value }) else { return nil }
            let own = measured.vector(of: most.task).flatMap { layer.matrix[$0][most.task] } ?? 0
            let strength = own > 0 ? layer.matrix[most.vector][most.task].map { $0 / own } : nil
            let row = LayerInterference(
                name: layer.name, share: 0, vector: measured.vectors[most.vector], task: measured.tasks[most.task],
                strength: strength)
            return (row, pairs.reduce(0) { $0 + $1.value })
        }
        let total = found.reduce(0) { $0 + $1.sum }
        return found.sorted { $0.sum > $1.sum }.map { row, sum in
            LayerInterference(
                name: row.name, share: total > 0 ? sum / total : 0, vector: row.vector, task: row.task,
                strength: row.strength)
        }
    }
}
