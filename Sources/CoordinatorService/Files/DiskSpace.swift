import BlobStore
import FileAccess
import Foundation
import JobFiles
import JobJournal
import Publication
import Safetensors
import SystemPackage

/// Tells a full disk from other failures; a job waits for room, because room can be made while the job runs.
enum DiskSpace {
    /// Whether an error says that a disk or a quota has no room left.
    static func isExhausted(_ error: any Error) -> Bool {
        switch error {
        case BlobStoreError.diskFull, JobJournalError.diskFull: true
        case let error as SafetensorsError: error.all.contains { if case .diskFull = $0 { true } else { false } }
        case let error as JobFileError:
            error.all.contains { if case .safetensors(.diskFull) = $0 { true } else { false } }
        case let error as PublicationError: error.code == .noSpace || error.code == .diskQuotaExceeded
        case let error as Errno: error == .noSpace || error == .diskQuotaExceeded
        case let error as CocoaError: error.code == .fileWriteOutOfSpace
        default: false
        }
    }

    /// Whether an error says that a place cannot be written, and that another attempt would fail too.
    static func isRefused(_ error: any Error) -> Bool {
        switch error {
        case let error as PublicationError: WriteFailure.isLasting(error)
        case let error as SafetensorsError: error.all.contains(where: isRefused)
        case let error as JobFileError:
            error.all.contains {
                if case .safetensors(let error) = $0 { error.all.contains(where: isRefused) } else { false }
            }
        case FileRootsError.callFailed(_, _, let code): WriteFailure.isLasting(code)
        case let error as Errno: WriteFailure.isLasting(error)
        default: false
        }
    }

    private static func isRefused(_ error: SafetensorsError) -> Bool {
        guard case .callFailed(_, _, let code) = error else { return false }
        return WriteFailure.isLasting(code)
    }
}
