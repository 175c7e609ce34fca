import Foundation

/// Partial sums that a test computes from a ``SmallModel``'s capture, one sample after the other in fp64.
struct PartialSums {
    let capture: TensorFile
    /// `tak`, `expand` or `reduce`.
    var normalization = "tak"
    var run = "monday"
    /// The joint rows of each file: the most of inputs and of gradients.
    var jointRanks: (inputs: Int, gradients: Int)?

    private static let layers = ["fc", "k", "q", "v"]
    /// The layers of ``SmallModel`` with a bias.
    private static let biased: Set<String> = ["k", "q", "v"]
    private static let parameter = "norm.weight"

    /// The samples of each file, in the order of their sum: of rank 0 first, and of a rank its flushes in turn.
    ///
    /// - Parameters:
    ///   - ranks: The number of ranks.
    ///   - flushes: The number of files of each rank.
    /// - Returns: Each file's rank, sequence and samples; together they are all samples.
    static func split(ranks: Int, flushes: Int) -> [(rank: Int, sequence: Int, samples: Range<Int>)] {
        let (parts, samples) = (ranks * flushes, SmallModel.samples)
        return (0..<parts).map { part in
            (part / flushes, part % flushes, samples * part / parts..<samples * (part + 1) / parts)
        }
    }

    /// The file of some samples.
    ///
    /// - Throws: what the requirement throws when the capture lacks a tensor.
    func file(rank: Int, sequence: Int, samples: Range<Int>, type: Tensor.ElementType = .float64) throws -> TensorFile {
        let rows = samples.count * SmallModel.positions
        func object(_ value: (String) -> String) -> String {
            "{\(Self.layers.map { "\"\($0)\":\(value($0))" }.joined(separator: ","))}"
        }
        let joint = try jointRows(of: samples)
        var file = TensorFile(
            try sums(of: samples).map { sum in
                Tensor(sum.name, .float64, [sum.elements.count], bytes: sum.elements.withUnsafeBytes { Data($0) })
                    .converted(to: type)
            },
            metadata: [
                "format": "kfacd.partials/1", "task": capture.metadata["task"] ?? "", "run": run, "rank": "\(rank)",
                "sequence": "\(sequence)", "rows": "\(rows)", "samples": "\(samples.count)",
                "probes": "\(SmallModel.probes)", "normalization": normalization,
                "bias": object { "\(Self.biased.contains($0))" },
            ])
        if let joint {
            file.tensors += joint.rows.tensors()
            file.metadata["joint_rows"] =
                "{\"ranks\":{\"inputs\":\(joint.rows.inputs.rows.count),"
                + "\"gradients\":\(joint.rows.gradients.rows.count)},"
                + "\"kept\":{\"inputs\":\(joint.kept[0]),\"gradients\":\(joint.kept[1])}}"
        }
        return file
    }

    /// The joint rows of some samples under their own weights, and what they keep; nil without ranks.
    func jointRows(of samples: Range<Int>) throws -> (rows: JointReference, kept: [Double])? {
        guard let jointRanks else { return nil }
        let (rows, kept) = try JointReference(capture, samples: samples)
            .compressed(inputRank: jointRanks.inputs, gradientRank: jointRanks.gradients)
        return (rows, kept.map { min(1, $0) })
    }

    /// The packed sums of some samples by name.
    ///
    /// - Throws: what the requirement throws when the capture lacks a tensor.
    func sums(of samples: Range<Int>) throws -> [(name: String, elements: [Double])] {
        var sums: [(String, [Double])] = []
        let scale = 1 / Double(SmallModel.positions)
        for layer in Self.layers {
            let inputs = try rows("\(layer).input", samples, positions: SmallModel.positions, probes: 1, scale: scale)
            let ones = Self.biased.contains(layer) ? [1.0] : []
            sums.append(("\(layer).A", Self.packed(inputs.map { $0 + ones })))
            let gradients = try rows(
                "\(layer).output_grad", samples, positions: SmallModel.positions, probes: SmallModel.probes, scale: 1)
            sums.append(("\(layer).B", Self.packed(gradients)))
        }
        let gradients = try rows(
            "\(Self.parameter).grad", samples, positions: 1, probes: SmallModel.probes, scale: 1)
        return sums + [("\(Self.parameter).F", Self.packed(gradients))]
    }

    /// The rows of some samples; under `reduce` one row for each sample and probe, the sum of its rows times a scale.
    private func rows(
        _ name: String, _ samples: Range<Int>, positions: Int, probes: Int, scale: Double
    ) throws -> [[Double]] {
        let tensor = try capture.tensor(name)
        let (values, width) = (tensor.values, tensor.shape[1])
        var rows: [[Double]] = []
        for probe in 0..<probes {
            for sample in samples {
                let first = (probe * SmallModel.samples + sample) * positions
                let own = (first..<first + positions).map { Array(values[$0 * width..<($0 + 1) * width]) }
                guard normalization == "reduce" else {
                    rows += own
                    continue
                }
                rows.append((0..<width).map { column in own.reduce(0) { $0 + $1[column] } * scale })
            }
        }
        return rows
    }

    /// The lower triangle of Σ x xᵀ, row by row.
    private static func packed(_ rows: [[Double]]) -> [Double] {
        let dimension = rows.first?.count ?? 0
        return (0..<dimension).flatMap { row in
            (0...row).map { column in rows.reduce(0) { $0 + $1[row] * $1[column] } }
        }
    }

    /// The divisor of a sum over all samples.
    func divisor(of name: String) -> Double {
        let (samples, probes) = (Double(SmallModel.samples), Double(SmallModel.probes))
        let rows = samples * Double(SmallModel.positions)
        switch (name.suffix(2), normalization) {
        case (".A", "reduce"): return samples
        case (".A", _): return rows
        case (".B", "tak"): return rows * probes
        default: return samples * probes
        }
    }
}
