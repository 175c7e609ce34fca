import Console
import FileAccess
import Foundation
import Identifiers
import SystemPackage

/// What a user names to see the interference of a job: a finished job, its report, or a job file.
enum JobReference {
    /// A job at a coordinator.
    case job(JobID)
    /// A report.
    case report(FilePath)
    /// A job file, whose interference is still to be measured.
    case jobFile(String)

    /// The sentence about a job without captures and factors.
    static let noCurvature =
        "no model of the job has curvature, which interference is measured by. Give the models \"captures\" or "
        + "\"factors\"."
    /// The sentence about a job without models.
    static let noModels =
        "no task of the job has a model, so there are no task vectors. Give the tasks a \"model\"."

    /// Tells the kinds apart by the name and by what is there.
    ///
    /// - Throws: ``CommandFailure`` if there is nothing of the name.
    init(_ text: String) throws {
        if text.hasPrefix("job-"), let number = Int(text.dropFirst("job-".count)), number > 0, "job-\(number)" == text {
            self = .job(JobID(rawValue: text))
            return
        }
        let path = FilePath(text)
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: text, isDirectory: &isDirectory) else {
            throw CommandFailure(
                .badInput,
                "\(text): there is nothing of this name; expected a job's name such as \"job-1\", the output directory "
                    + "or report.json of a job, or a job file. Check the path.")
        }
        if isDirectory.boolValue {
            self = .report(path.appending("report.json"))
        } else if path.extension == "json", !Self.isJobFile(path) {
            self = .report(path)
        } else {
            self = .jobFile(text)
        }
    }

    /// Whether a file of JSON is a job, since JSON is YAML.
    private static func isJobFile(_ path: FilePath) -> Bool {
        guard let bytes = try? WholeFile.read(path, limit: 1 << 20),
            let object = try? JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any]
        else { return false }
        return object["merge_method"] != nil
    }
}
