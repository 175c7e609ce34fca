import LinearAlgebra
import ReferenceModel

/// The joint rows of one task's samples and probes, as a data owner has them.
///
/// u_n holds the inputs of sample n divided by √N, the bias's 1 included, then a 1. v_nm holds the output gradients of
/// probe m divided by √(N M), then the gradients of one-dimensional parameters. So sums over rows are means over
/// samples, and over samples and probes.
///
/// Source: DESIGN section 2.2, joint form.
public struct TaskRows: Sendable {
    /// The rows; row m N + n of the gradients belongs to sample n and probe m.
    public let rows: JointRows
    /// N.
    public let sampleCount: Int

    init(rows: JointRows, sampleCount: Int) {
        self.rows = rows
        self.sampleCount = sampleCount
    }

    /// Computes the rows of some samples at θ0.
    ///
    /// - Parameters:
    ///   - task: The task's name, for the probes' seed.
    ///   - tokens: `[all samples, positions, width]`.
    ///   - samples: The samples' numbers, at least one.
    ///   - base: The model.
    ///   - team: Computes the passes.
    ///   - settings: Probes and seed, as for a capture. Samples and probes are those of the daemon's factors.
    public init(
        _ task: String, tokens: [Float], samples: [Int], base: BaseModel, team: PassTeam, settings: CaptureSettings
    ) async {
        let layout = JointLayout(base.layout)
        let parameters = base.parameters
        let featureWidth = base.layout.shape.featureWidth
        let probeCount = settings.probeCount(featureWidth: featureWidth)
        let shards = await team.map(samples.count) { workspace, _, places in
            workspace.load(samples[places], from: tokens)
            workspace.pass.forward(parameters)
            let inputs = Self.inputs(of: workspace.pass, layout, samples: places.count)
            var directions = ProbeDirections(settings, task: task, samples: samples[places], featureWidth: featureWidth)
            var direction = [Float](repeating: 0, count: places.count * featureWidth)
            var unused = [Float](repeating: 0, count: parameters.count)
            let gradients = (0..<probeCount).map { _ in
                directions.next(into: &direction)
                workspace.pass.cotangent(parameters, of: direction, gradient: &unused)
                return Self.gradients(of: workspace.pass, samples: places.count)
            }
            return (inputs, gradients)
        }
        let inputScale = 1 / Float(samples.count).squareRoot()
        let gradientScale = 1 / Float(samples.count * probeCount).squareRoot()
        let blocks = layout.blocks.indices
        sampleCount = samples.count
        rows = JointRows(
            layout: layout, inputCount: samples.count, gradientCount: samples.count * probeCount,
            inputs: blocks.map { block in shards.flatMap { $0.0[block] }.map { inputScale * $0 } },
            gradients: blocks.map { block in
                (0..<probeCount).flatMap { probe in
                    shards.flatMap { $0.1[probe][block] }.map { gradientScale * $0 }
                }
            })
    }

    /// The inputs of each block, with the bias's 1 in every row.
    private static func inputs(of pass: borrowing TransformerPass, _ layout: JointLayout, samples: Int) -> [[Float]] {
        let layers = pass.layerRows.map { rows -> [Float] in
            guard rows.layer.biasOffset != nil else { return Array(rows.inputs) }
            let width = rows.layer.inputWidth
            var extended: [Float] = []
            extended.reserveCapacity(samples * rows.rowsPerSample * (width + 1))
            for row in 0..<samples * rows.rowsPerSample {
                let start = rows.inputs.startIndex + row * width
                extended += rows.inputs[start..<start + width]
                extended.append(1)
            }
            return extended
        }
        return layers + [[Float](repeating: 1, count: samples)]
    }

    /// The gradients of each block; those of one-dimensional parameters are side by side, in the layout's order.
    private static func gradients(of pass: borrowing TransformerPass, samples: Int) -> [[Float]] {
        let byName = Dictionary(uniqueKeysWithValues: pass.vectorRows.map { ($0.name, $0.gradients) })
        let vectors = pass.layout.vectors
        var joined: [Float] = []
        for sample in 0..<samples {
            for entry in vectors {
                guard let gradients = byName[entry.name] else { continue }
                let start = gradients.startIndex + sample * entry.count
                joined += gradients[start..<start + entry.count]
            }
        }
        return pass.layerRows.map { Array($0.outputGradients) } + [joined]
    }

    /// Writes Σ_p g aᵀ of a block for one row of the gradients and its sample, `[d_out, d_in]`, divided by N √M.
    func gradient(ofRow row: Int, block index: Int, into product: inout [Float]) {
        let block = rows.layout.blocks[index]
        BlockProduct.multiply(
            rows.gradients[index],
            MatrixBlock(
                rows: block.positions, columns: block.outputWidth, offset: row * block.positions * block.outputWidth),
            .transposed, rows.inputs[index],
            MatrixBlock(
                rows: block.positions, columns: block.inputWidth,
                offset: row % sampleCount * block.positions * block.inputWidth),
            .none, into: &product, MatrixBlock(rows: block.outputWidth, columns: block.inputWidth))
    }

    /// E‖Σ_p g aᵀ‖²: the trace of a block's exact Gauss-Newton matrix.
    func exactTrace(ofBlock index: Int) -> Double {
        let block = rows.layout.blocks[index]
        var product = [Float](repeating: 0, count: block.outputWidth * block.inputWidth)
        var sum = 0.0
        for row in 0..<rows.gradientCount {
            gradient(ofRow: row, block: index, into: &product)
            for value in product { sum += Double(value) * Double(value) }
        }
        return sum * Double(sampleCount)
    }
}
