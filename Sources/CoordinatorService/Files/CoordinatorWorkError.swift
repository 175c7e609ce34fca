import Identifiers
import JobPlan
import SystemPackage

/// Why a unit of the coordinator's own failed.
enum CoordinatorWorkError: Error, Equatable, CustomStringConvertible {
    /// The input is wrong; the message names file and tensor.
    case badInput(String)
    /// An input file has changed since the plan was made.
    case inputChanged(path: String)
    /// The bytes of a pushed file are not those that were acknowledged.
    case damagedPush(path: String)
    /// The result of another unit is missing.
    case missingResult(String)
    /// Files in the staging directory differ from what was written.
    case damagedFiles([StagedFileAudit.Damage])
    /// Outputs that workers wrote into a staged file differ from their digests.
    case damagedPlaces([UnitOutput], directory: FilePath)

    var description: String {
        switch self {
        case .badInput(let message): message
        case .inputChanged(let path):
            "\(path): the file has changed since the job was submitted; results would mix two states of it. Submit the "
                + "job again."
        case .damagedPush(let path):
            "\(path): the pushed file was damaged on the disk since the job was submitted. Submit the job again, which names "
                + "and removes the damaged files, and push them again."
        case .damagedFiles(let damages):
            damages.prefix(10).map(\.description).joined(separator: " ")
                + (damages.count > 10 ? " And \(damages.count - 10) more." : "")
        case .damagedPlaces(let outputs, let directory):
            "\(directory): \(outputs.count) matrices differ from what workers wrote there; they are written again. Check "
                + "the disk of the output directory."
        case .missingResult(let what): "the result \"\(what)\" is missing in the blob store."
        }
    }
}
