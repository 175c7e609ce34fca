import FileAccess
import Identifiers
import JSONText
import LinearAlgebra
import Safetensors
import SystemPackage

extension JobFileError {
    /// The sentence for the user.
    public var description: String {
        switch self {
        case .safetensors(let error): error.description
        case .file(let error): error.description
        case .json(let error): error.description
        case .linearAlgebra(let file, let error): "\(file): \(error)"
        case .partials(let problem): problem.description
        case .draft(let file, let tensor, let flaw): "\(file): sum \"\(tensor.excerpt)\": \(flaw)"
        case .several(let errors): errors.sentences.cutLines
        case .noFiles: "captures: no file is named; expected at least one. Correct the pattern or the path."
        case .rowsOutside(let tensor, let rows, let rowCount):
            "tensor \"\(tensor.excerpt)\" has \(rowCount) rows; rows \(rows.lowerBound) to \(rows.upperBound) are not all "
                + "in it."
        case .noConfiguration(let file, let found):
            "\(file): is \(found); expected an object of keys and values, as transformers writes it. Save the model's "
                + "configuration again."
        case .noVocabulary(let file):
            "\(file): has no vocabulary of a known form; expected the tokenizer.json that Hugging Face tokenizers write, "
                + "with \"vocab\" under \"model\", and tokens with whole numbers as ids."
        case .adapterSetting(let file, let key, let found, let expected):
            "\(file): \"\(key)\" is \(found.excerpt); expected \(expected). Merge the adapter into its model first: "
                + "model.merge_and_unload(), then model.save_pretrained()."
        case .wrongFormat, .metadataMissing, .metadataInvalid, .zeroSamples: metadataDescription
        case .unknownTensor, .missingTensor, .shape, .dataType, .noFactor: tensorDescription
        case .partnerMissing, .rowsWithoutSamples, .samplesWithoutRows, .gradientRows, .parameterRows, .differs:
            captureDescription
        }
    }

    private var metadataDescription: String {
        switch self {
        case .wrongFormat(let file, let problem): "\(file): \(problem)"
        case .metadataMissing(let file, let key, let expected):
            "\(file): metadata \"\(key)\" is missing; expected \(expected). Write the file again with it."
        case .metadataInvalid(let file, let key, let text, let expected):
            "\(file): metadata \"\(key)\" is \"\(text.excerpt)\"; expected \(expected). Write the file again with it."
        case .zeroSamples(let file):
            "\(file): was captured from 0 samples; expected at least 1. Capture it again."
        default: ""
        }
    }

    private var tensorDescription: String {
        switch self {
        case .unknownTensor(let file, let tensor, let kind):
            "\(file): tensor \"\(tensor.excerpt)\" does not belong in a file of kind \(kind); expected "
                + "\(kind.tensorNames). Rename it, or leave it out."
        case .missingTensor(let file, let tensor):
            "\(file): tensor \"\(tensor.excerpt)\" is missing; expected it beside the others. Write the "
                + "file again with it."
        case .shape(let file, let tensor, let shape, let expected):
            "\(file): tensor \"\(tensor.excerpt)\" has the shape \(shape); expected \(expected). Write the "
                + "file again."
        case .dataType(let file, let tensor, let found, let expected):
            "\(file): tensor \"\(tensor.excerpt)\" holds \(found.rawValue); expected \(expected). Write the "
                + "file again."
        case .noFactor(let file, let tensor, let flaw): "\(file): tensor \"\(tensor.excerpt)\": \(flaw)"
        default: ""
        }
    }

    private var captureDescription: String {
        switch self {
        case .partnerMissing(let file, let layer, let present, let missing):
            "\(file): layer \"\(layer.rawValue.excerpt)\" has \"\(present.excerpt)\" but no \"\(missing.excerpt)\" for "
                + "the same rows; expected both. Capture it again, or name the file that holds the other."
        case .rowsWithoutSamples(let file, let owner, let rows):
            "\(file): \"\(owner.excerpt)\" has \(rows) rows of 0 samples; expected at least 1 sample. Correct "
                + "\"\(MetadataKey.layerSamples)\" in the file's metadata."
        case .samplesWithoutRows(let file, let owner, let samples):
            "\(file): metadata \"\(MetadataKey.layerSamples)\" counts \(samples) samples of \"\(owner.excerpt)\", "
                + "but no file holds its tensors; expected them, or 0 for a layer without rows. Name the file that holds them, or "
                + "write 0."
        case .gradientRows(let file, let layer, let inputRows, let gradientRows, let probes):
            "\(file): layer \"\(layer.rawValue.excerpt)\" has \(inputRows) input rows but \(gradientRows) "
                + "output-gradient rows; expected \(inputRows) × \(probes) probes = \(Self.product(inputRows, probes)). Capture it again, "
                + "or correct \"\(MetadataKey.probes)\" in the file's metadata."
        case .parameterRows(let file, let parameter, let rows, let samples, let probes):
            "\(file): parameter \"\(parameter.rawValue.excerpt)\" has \(rows) gradient rows; expected "
                + "\(samples) samples × \(probes) probes = \(Self.product(samples, probes)). Capture it again, or correct the file's metadata."
        case .differs(let file, let other, let subject, let name, let found, let expected):
            "\(file): \(subject)\(name.map { " \"\($0.excerpt)\"" } ?? "") is \(found.excerpt); expected "
                + "\(expected.excerpt) as in \(other). "
                + "Capture them together, or name them under different tasks."
        default: ""
        }
    }

    /// The numbers come from files, so the product may overflow.
    private static func product(_ left: Int, _ right: Int) -> String {
        let (product, overflow) = left.multipliedReportingOverflow(by: right)
        return overflow ? "more than \(Int.max)" : String(product)
    }
}

extension JobFileKind {
    /// The tensors that a file of the kind may hold, for messages.
    fileprivate var tensorNames: String {
        switch self {
        case .capture: "\"<layer>.input\", \"<layer>.output_grad\", \"<layer>.row_samples\" and \"<parameter>.grad\""
        case .factors, .partials, .regularizer: "\"<layer>.A\", \"<layer>.B\" and \"<parameter>.F\""
        case .inverses: "\"<layer>.A_inv\", \"<layer>.B_inv\" and \"<parameter>.F_inv\""
        case .checkpoint: "parameters"
        }
    }
}
