import ReferenceModel

extension TaskRows {
    /// The rows with positions pooled into buckets: a_c = Σ_{p∈c} a_p / √n_c over the n_c positions of bucket c.
    ///
    /// Gradients are pooled likewise. A bucket without positions has zeros. Blocks of one row a sample stay as they
    /// are. By Cauchy and Schwarz the sums of a_c a_cᵀ and g_c g_cᵀ never exceed those of the positions, so K-FAC on
    /// the complement stays positive semi-definite.
    func pooled(by codebook: PositionCodebook) -> TaskRows {
        let buckets = codebook.buckets(of: self)
        let blocks = rows.layout.blocks
        let pooled = JointRows(
            layout: rows.layout.pooled(bucketCount: codebook.bucketCount), inputCount: rows.inputCount,
            gradientCount: rows.gradientCount,
            inputs: zip(blocks, rows.inputs).map { block, values in
                block.positions == 1
                    ? values : Self.pool(values, block.inputWidth, rows.inputCount, buckets, codebook.bucketCount)
            },
            gradients: zip(blocks, rows.gradients).map { block, values in
                block.positions == 1
                    ? values : Self.pool(values, block.outputWidth, rows.gradientCount, buckets, codebook.bucketCount)
            })
        return TaskRows(rows: pooled, sampleCount: sampleCount)
    }

    /// The plain inputs of a layer, without the bias's 1: by sample, then by position.
    func inputs(ofBlock index: Int) -> [[[Float]]] {
        let block = rows.layout.blocks[index]
        let scale = Float(sampleCount).squareRoot()
        var width = block.inputWidth
        if case .layer(let layer) = block.parameters { width = layer.inputWidth }
        return (0..<sampleCount).map { sample in
            (0..<block.positions).map { position in
                let start = (sample * block.positions + position) * block.inputWidth
                return rows.inputs[index][start..<start + width].map { scale * $0 }
            }
        }
    }

    /// Pools `[rows, positions, width]` to `[rows, buckets, width]`; row r is of sample r mod the number of samples.
    private static func pool(
        _ values: [Float], _ width: Int, _ rowCount: Int, _ buckets: [[Int]], _ bucketCount: Int
    ) -> [Float] {
        let shares = buckets.map { ofPositions in
            var counts = [Int](repeating: 0, count: bucketCount)
            for bucket in ofPositions { counts[bucket] += 1 }
            return counts.map { $0 > 0 ? 1 / Float($0).squareRoot() : 0 }
        }
        var result = [Float](repeating: 0, count: rowCount * bucketCount * width)
        var source = 0
        for row in 0..<rowCount {
            let sample = row % buckets.count
            for bucket in buckets[sample] {
                let target = (row * bucketCount + bucket) * width
                let share = shares[sample][bucket]
                for index in 0..<width { result[target + index] += share * values[source + index] }
                source += width
            }
        }
        return result
    }
}

extension JointLayout {
    /// The layout whose layers have buckets in place of positions; layers of one row a sample keep it.
    func pooled(bucketCount: Int) -> JointLayout {
        JointLayout(
            blocks: blocks.map { block in
                Block(
                    parameters: block.parameters, positions: block.positions == 1 ? 1 : bucketCount,
                    rowsPerSample: block.rowsPerSample, inputWidth: block.inputWidth, outputWidth: block.outputWidth)
            }, parameterCount: parameterCount)
    }
}
