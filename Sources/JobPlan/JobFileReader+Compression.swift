import Identifiers
import LinearAlgebra
import Yams

extension JobFileReader {
    /// Reads `compression`: the name of a form, or a mapping with its number.
    mutating func readCompression(_ node: Node) -> CompressionSpec? {
        guard case .mapping = node else {
            guard let word = word(node, "compression", as: CompressedForm.Word.self) else { return nil }
            return compression(word, nil, at: node)
        }
        let entries = entries(node, of: "\"compression\"", keys: ["form", "blocks", "rank", "repair"])
        guard let written = entries["form"] else {
            report(
                node,
                "\"compression\" needs a \"form\": one of "
                    + "\(CompressedForm.Word.allCases.map(\.rawValue).joined(separator: ", ")).")
            return nil
        }
        guard let word = word(written, "form", as: CompressedForm.Word.self) else { return nil }
        var parameter: Int?
        for key in ["blocks", "rank"] {
            guard let node = entries[key] else { continue }
            guard key == word.parameter else {
                report(node, "\"\(key)\" does not belong to the form \"\(word.rawValue)\". Remove it.")
                return nil
            }
            guard let count = count(node, key) else { return nil }
            parameter = count.value
        }
        var compression = compression(word, parameter, at: written)
        if let repairs = entries["repair"].flatMap({ truth($0, "repair") }) { compression?.repairs = repairs }
        return compression
    }

    private mutating func compression(
        _ word: CompressedForm.Word, _ parameter: Int?, at node: Node
    ) -> CompressionSpec? {
        guard let form = CompressedForm(word, parameter: parameter) else {
            let key = word.parameter ?? ""
            report(
                node,
                "the form \"\(word.rawValue)\" needs its \"\(key)\", as in {form: \(word.rawValue), \(key): 8}.")
            return nil
        }
        return CompressionSpec(form: form, location: location(of: node))
    }
}
