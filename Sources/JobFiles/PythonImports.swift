/// The relative imports of Python code, found line by line as Hugging Face's loader finds them.
enum PythonImports {
    /// Paths of imported modules without their ending, relative to the model's directory.
    ///
    /// - Parameters:
    ///   - bytes: The code.
    ///   - path: The path of the code; imports are relative to its directory.
    /// - Returns: Possible modules; some are names within modules.
    static func relative(in bytes: [UInt8], of path: String) -> [String] {
        let package = path.split(separator: "/").dropLast().map(String.init)
        return String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isNewline).flatMap { line in
            modules(imported: line.split(whereSeparator: \.isWhitespace), from: package)
        }
    }

    /// `from .a.b import c` needs a.b, and c if it is a module in a.b; `from . import c` needs c.
    private static func modules(imported words: [Substring], from package: [String]) -> [String] {
        guard words.count >= 4, words[0] == "from", words[2] == "import", words[1].hasPrefix(".") else { return [] }
        let dots = words[1].prefix { $0 == "." }.count
        guard dots - 1 <= package.count else { return [] }
        let place = package.dropLast(dots - 1) + words[1].dropFirst(dots).split(separator: ".").map(String.init)
        let names = words[3...].joined(separator: " ").filter { $0 != "(" && $0 != ")" }.split(separator: ",")
            .compactMap { $0.split(separator: " ").first }
        let module = place.joined(separator: "/")
        return (module.isEmpty ? [] : [module]) + names.map { (place + ["\($0)"]).joined(separator: "/") }
    }
}
