import Identifiers
import JSONText
import SystemPackage

/// The factors of which a set of files has only the diagonal, as all of its files state them.
struct DeclaredDiagonals {
    private(set) var names: Set<CurvatureTensorName> = []
    private(set) var problems: [JobFileError] = []

    /// Joins the statements of all files.
    ///
    /// - Parameters:
    ///   - files: The statements of each file.
    ///   - layers: The layers of all files together.
    init(_ files: [(file: FilePath, diagonals: Set<CurvatureTensorName>)], layers: Set<String>) {
        for (file, stated) in files {
            for name in stated.sorted(by: { $0.name < $1.name }) where !layers.contains(name.owner) {
                problems.append(
                    .metadataInvalid(
                        file: file, key: MetadataKey.diagonal, text: name.name,
                        expected: "a list of factors of layers that the file holds"))
            }
            names.formUnion(stated)
        }
    }
}

extension MetadataReader {
    /// The factors that a file states to be diagonals.
    func diagonals() throws(JobFileError) -> Set<CurvatureTensorName> {
        let expected = "a list of the factors A and B of layers, as [\"wte.A\", \"lm_head.B\"]"
        var names: Set<CurvatureTensorName> = []
        for text in try strings(MetadataKey.diagonal, expected) ?? [] {
            guard let name = CurvatureTensorName(text), !name.isInverse, name.side != .full else {
                throw invalid(MetadataKey.diagonal, expected)
            }
            names.insert(name)
        }
        return names
    }
}

extension Set<CurvatureTensorName> {
    /// The metadata's string; `nil` when no factor is a diagonal.
    var metadataText: String? {
        guard !isEmpty else { return nil }
        let names = map { CurvatureTensorName(owner: $0.owner, side: $0.side).name }.sorted()
        return JSONValue.array(names.map(JSONValue.string)).text()
    }
}
