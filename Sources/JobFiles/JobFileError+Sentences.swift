import FileAccess
import Identifiers
import JSONText
import Safetensors
import SystemPackage

extension JobFileError {
    /// The sentences for the user; errors with one cause share one.
    public var sentences: [String] { [self].sentences }

    /// Adds these errors to the sentences about a set of files.
    fileprivate func add(to faults: inout SharedFaults) {
        switch self {
        case .several(let errors): for error in errors { error.add(to: &faults) }
        case .safetensors(let error): error.add(to: &faults)
        default: faults.append(description, about: subject.name, of: subject.things, in: place)
        }
    }

    /// The start of the description: the file, or the first of several.
    private var place: String {
        switch self {
        case .file(let error): error.path.string
        case .json(let error): error.file.string
        case .partials(let problem): problem.place
        case .safetensors, .several, .noFiles, .rowsOutside: ""
        case .linearAlgebra(let file, _), .wrongFormat(let file, _), .metadataMissing(let file, _, _),
            .metadataInvalid(let file, _, _, _), .zeroSamples(let file), .unknownTensor(let file, _, _),
            .missingTensor(let file, _), .shape(let file, _, _, _), .dataType(let file, _, _, _),
            .partnerMissing(let file, _, _, _), .rowsWithoutSamples(let file, _, _),
            .samplesWithoutRows(let file, _, _), .gradientRows(let file, _, _, _, _),
            .parameterRows(let file, _, _, _, _), .differs(let file, _, _, _, _, _), .noFactor(let file, _, _),
            .noConfiguration(let file, _), .noVocabulary(let file), .adapterSetting(let file, _, _, _),
            .draft(let file, _, _):
            file.string
        }
    }

    /// The thing that is wrong, if it is not the whole file, and the word for several of them.
    private var subject: (name: String?, things: String) {
        switch self {
        case .unknownTensor(_, let tensor, _), .missingTensor(_, let tensor), .shape(_, let tensor, _, _),
            .dataType(_, let tensor, _, _), .noFactor(_, let tensor, _), .rowsOutside(let tensor, _, _),
            .draft(_, let tensor, _):
            (tensor, "tensors")
        case .partnerMissing(_, let layer, _, _), .gradientRows(_, let layer, _, _, _): (layer.rawValue, "layers")
        case .parameterRows(_, let parameter, _, _, _): (parameter.rawValue, "parameters")
        case .rowsWithoutSamples(_, let owner, _), .samplesWithoutRows(_, let owner, _):
            (owner, "layers and parameters")
        case .metadataInvalid(_, _, let text, _): (text, "values")
        case .differs(_, _, _, let name?, _, _): (name, "names")
        case .partials(let problem): problem.flaw.subject
        default: (nil, "files")
        }
    }
}

extension [JobFileError] {
    /// The sentences for the user; errors with one cause share one.
    var sentences: [String] {
        var faults = SharedFaults()
        for error in self { error.add(to: &faults) }
        return faults.sentences
    }
}
