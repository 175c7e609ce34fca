import Identifiers
import NameMatching
import UnitOperations

extension CurvatureBlock {
    /// A layer's weight in words, as the matrix `[d_out, d_in]`.
    fileprivate var weightDescription: String {
        guard let region = regions.first, region.tensor != "\(name).weight" || region.layout != .outIn else {
            return "the base's \"\(name).weight\""
        }
        return "the layer's weight in the base's \"\(region.tensor)\", taken as [d_out, d_in],"
    }
}

/// The check of a task's captures against the blocks of a job.
struct CaptureValidation {
    private let captures: CaptureInventory
    private let place: String
    /// The captured names, for suggestions; they are sorted when the first name is missing.
    private lazy var layers = captures.layers.keys.map(\.rawValue).sorted()
    private lazy var parameters = captures.parameters.keys.map(\.rawValue).sorted()
    private var missingCount = 0
    private var faults = SharedFaults()

    init(of task: TaskName, _ captures: CaptureInventory) {
        self.captures = captures
        place = "captures of task \"\(task)\""
    }

    /// Problems of blocks without captures, and of rows whose width differs from their block's.
    func problems(with blocks: [CurvatureBlock]) -> [JobProblem] {
        var validation = self
        for block in blocks { validation.check(block) }
        return validation.faults.problems
    }

    /// Problems of blocks without rows; an empty tensor still states the width of its rows.
    func emptyProblems(with blocks: [CurvatureBlock]) -> [JobProblem] {
        var faults = SharedFaults()
        for block in blocks {
            guard let empty = captures.emptyBlocks[block.name] else { continue }
            let widths: [(Int?, Int)] =
                switch block.kind {
                case .linear(let outputs, let inputs, _, _): [(empty.inputs, inputs), (empty.outputs, outputs)]
                case .full(let dimension): [(empty.outputs, dimension)]
                }
            for case (let found?, let expected) in widths where found != expected {
                faults.append(
                    "\"\(block.name)\" has no rows, and they would have \(found) columns; the base's needs \(expected).",
                    about: block.name, of: "layers and parameters", at: place)
            }
        }
        return faults.problems
    }

    private mutating func check(_ block: CurvatureBlock) {
        switch block.kind {
        case .linear(let outputs, let inputs, _, _):
            guard let layer = captures.layers[LayerName(rawValue: block.name)] else {
                return reportMissing("layer", block.name) { $0.layers }
            }
            // The widths nearly always match, so this case allocates nothing.
            let hasIndices = layer.input.indexType != nil
            if hasIndices || layer.input.columns == inputs, layer.outputGradient.columns == outputs { return }
            for (rows, expected, symbol, side) in [
                (layer.input, inputs, "d_in", FactorSide.input),
                (layer.outputGradient, outputs, "d_out", .gradient),
            ] where rows.columns != expected && rows.indexType == nil {
                faults.append(
                    "tensor \"\(rows.tensor)\" has \(rows.columns) columns; \(block.weightDescription) is "
                        + "[\(outputs), \(inputs)], so \(symbol) = \(expected) was expected.",
                    about: rows.tensor, of: "tensors", at: place,
                    advice: block.advice(
                        about: side, exceedingBy: rows.columns - expected,
                        otherwise: " Capture the task on this base."))
            }
        case .full(let dimension):
            guard let parameter = captures.parameters[ParameterName(rawValue: block.name)] else {
                return reportMissing("parameter", block.name) { $0.parameters }
            }
            guard parameter.gradient.columns != dimension else { return }
            faults.append(
                "tensor \"\(parameter.gradient.tensor)\" has \(parameter.gradient.columns) columns; the base's "
                    + "\"\(block.name)\" has \(dimension) elements. Capture the task on this base.",
                about: parameter.gradient.tensor, of: "tensors", at: place)
        }
    }

    private mutating func reportMissing(
        _ what: String, _ name: String, _ present: (inout CaptureValidation) -> [String]
    ) {
        missingCount += 1
        let meant = missingCount > JobFileLimits.suggestions ? "" : suggestion(for: name, among: present(&self))
        faults.append(
            "the \(what) \"\(name)\", which other tasks have, is missing; every task of a sum needs it. Capture it, or "
                + "leave it out with \"layers\".",
            about: name, of: "\(what)s", at: place, advice: meant)
    }
}
