import FoundationEssentials
import Identifiers

/// `results.json`: the format, and under `rows` one entry for each measurement.
public enum ResultsFile {
    /// The file's name.
    public static let name = "results.json"

    /// Encodes the rows as JSON: indented, with sorted keys, the same text for the same rows.
    ///
    /// Numbers are rounded to four decimals, or to four digits below 0.1. The strings `"NaN"`, `"Infinity"` and
    /// `"-Infinity"` replace values that JSON has no number for.
    ///
    /// - Throws: ``StudyReportError/unwritable(file:problem:)``. Nothing was written.
    public static func encode(_ rows: [StudyRow]) throws(StudyReportError) -> String {
        let stated = Stated(format: FormatVersion.results.description, rows: rows.map(\.roundedForFile))
        return try JSONText.encode(stated, file: name)
    }

    /// Decodes the rows of ``encode(_:)``, or of an earlier version, whose file was only a list.
    ///
    /// - Throws: ``StudyReportError/unreadable(file:place:problem:)`` with the place of the first problem,
    ///   ``StudyReportError/otherFormat(file:_:)`` for a file of a later version.
    public static func decode(_ text: String) throws(StudyReportError) -> [StudyRow] {
        guard text.drop(while: \.isWhitespace).first == "{" else {
            return try JSONText.decode([StudyRow].self, from: text, file: name)
        }
        // The format comes first, because another version may write the rows differently.
        let stated = try JSONText.decode(Format.self, from: text, file: name)
        if let problem = FormatVersion.results.problem(with: stated.format) {
            throw .otherFormat(file: name, problem)
        }
        return try JSONText.decode(Stated.self, from: text, file: name).rows
    }

    private struct Stated: Codable {
        var format: String
        var rows: [StudyRow]
    }

    private struct Format: Codable {
        var format: String?
    }
}

/// `figures.json`: the data of the figures.
public enum FiguresFile {
    /// The file's name.
    public static let name = "figures.json"

    /// Encodes the figures as JSON, in the form of ``ResultsFile/encode(_:)``.
    ///
    /// - Throws: ``StudyReportError/unwritable(file:problem:)``. Nothing was written.
    public static func encode(_ figures: StudyFigures) throws(StudyReportError) -> String {
        try JSONText.encode(figures.roundedForFile, file: name)
    }

    /// Decodes the figures of ``encode(_:)``.
    ///
    /// - Throws: ``StudyReportError/unreadable(file:place:problem:)`` with the place of the first problem.
    public static func decode(_ text: String) throws(StudyReportError) -> StudyFigures {
        try JSONText.decode(StudyFigures.self, from: text, file: name)
    }
}

/// The JSON form of both files.
private enum JSONText {
    static func encode(_ value: some Encodable, file: String) throws(StudyReportError) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        // A diverged run must not lose the hours of the other runs, so NaN is allowed.
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "Infinity",
            negativeInfinity: "-Infinity",
            nan: "NaN"
        )
        do {
            return String(decoding: try encoder.encode(value), as: UTF8.self) + "\n"
        } catch {
            throw .unwritable(file: file, problem: "\(error)")
        }
    }

    static func decode<Value: Decodable>(
        _ type: Value.Type,
        from text: String,
        file: String
    ) throws(StudyReportError) -> Value {
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "Infinity",
            negativeInfinity: "-Infinity",
            nan: "NaN"
        )
        do {
            return try decoder.decode(type, from: Data(text.utf8))
        } catch let error as DecodingError {
            throw unreadable(error, file: file)
        } catch {
            throw .unreadable(file: file, place: "", problem: "\(error)")
        }
    }

    private static func unreadable(_ error: DecodingError, file: String) -> StudyReportError {
        switch error {
        case .keyNotFound(let key, let context):
            .unreadable(file: file, place: place(context), problem: "\"\(key.stringValue)\" is missing")
        case .typeMismatch(let type, let context):
            .unreadable(file: file, place: place(context), problem: "the value is not of type \(type)")
        case .valueNotFound(let type, let context):
            .unreadable(file: file, place: place(context), problem: "null stands where \(type) must")
        case .dataCorrupted(let context):
            .unreadable(file: file, place: place(context), problem: problem(context))
        @unknown default:
            .unreadable(file: file, place: "", problem: "\(error)")
        }
    }

    /// The decoder's position: `entry 3, "accuracy"`; entries are counted from 1.
    private static func place(_ context: DecodingError.Context) -> String {
        context.codingPath.map { key in
            key.intValue.map { "entry \($0 + 1)" } ?? "\"\(key.stringValue)\""
        }.joined(separator: ", ")
    }

    private static func problem(_ context: DecodingError.Context) -> String {
        context.codingPath.isEmpty ? "the text is not JSON" : "the value is none of those known"
    }
}
