import ReferenceModel

/// The first linear layer's inputs of some images, with the bias's 1 in every row.
public struct FirstLayerInputs: Sendable {
    /// `[images, positions, width + 1]`.
    let rows: [Float]
    /// The images' pixels, `[images, 28, 28]`.
    let images: [UInt8]

    /// Computes the inputs of a task's first images at θ0.
    ///
    /// - Parameters:
    ///   - task: The task.
    ///   - count: The number of images; a task with fewer gives all of them.
    ///   - base: The model.
    ///   - team: Computes the passes.
    public init(_ task: EvaluationTask, count: Int, base: BaseModel, team: PassTeam) async {
        let parameters = base.parameters
        let count = min(count, task.labels.count)
        let parts = await team.map(count) { workspace, _, places -> [Float] in
            workspace.load(places, from: task.tokens)
            workspace.pass.forward(parameters)
            let first = workspace.pass.layerRows[0]
            let width = first.layer.inputWidth
            return stride(from: first.inputs.startIndex, to: first.inputs.endIndex, by: width)
                .flatMap { first.inputs[$0..<$0 + width] + [1] }
        }
        rows = parts.flatMap(\.self)
        images = task.pixels(of: Array(0..<count))
    }

    /// The inputs of several lists, one after the other.
    public init(joining parts: [FirstLayerInputs]) {
        rows = parts.flatMap(\.rows)
        images = parts.flatMap(\.images)
    }
}
