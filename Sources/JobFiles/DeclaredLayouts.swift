import Identifiers
import JSONText
import SystemPackage

/// The layouts that the files of a set declare for their layers, each with the first file that declares it.
struct DeclaredLayouts {
    private(set) var layouts: [String: (layout: WeightLayout, file: FilePath)] = [:]
    private(set) var problems: [JobFileError] = []

    /// Joins the declarations of all files.
    ///
    /// - Parameters:
    ///   - files: The declarations of each file.
    ///   - layers: The layers of all files together.
    init(_ files: [(file: FilePath, layouts: [String: WeightLayout])], layers: Set<String>) {
        for (file, declared) in files {
            for (layer, layout) in declared.sorted(by: { $0.key < $1.key }) {
                if !layers.contains(layer) {
                    problems.append(
                        .metadataInvalid(
                            file: file, key: MetadataKey.layout, text: layer,
                            expected: "an object by layer, of layers that the file holds"))
                } else if let known = layouts[layer] {
                    guard known.layout != layout else { continue }
                    problems.append(
                        .differs(
                            file: file, other: known.file, subject: "the layout of layer", name: layer,
                            found: layout.rawValue, expected: known.layout.rawValue))
                } else {
                    layouts[layer] = (layout, file)
                }
            }
        }
    }
}

extension MetadataReader {
    /// The layouts that a file declares, by layer.
    func layouts() throws(JobFileError) -> [String: WeightLayout] {
        try object(MetadataKey.layout, "an object of out_in and in_out by layer") { value in
            value.stringValue.flatMap(WeightLayout.init(rawValue:))
        } ?? [:]
    }
}

extension [String: WeightLayout] {
    /// The metadata's string; `nil` when nothing is declared.
    var metadataText: String? {
        isEmpty ? nil : JSONValue.sortedObject(self) { .string($0.rawValue) }.text()
    }
}
