import Foundation
import Testing

/// The report of a job, as its readers find it.
enum Report {
    /// The members of `report.json` in an output directory.
    ///
    /// - Throws: what Foundation throws when the file cannot be read, or what the requirement throws.
    static func read(in output: String) throws -> [String: Any] {
        let data = try Data(contentsOf: URL(fileURLWithPath: "\(output)/report.json"))
        return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    }
}
