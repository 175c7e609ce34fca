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
        case FileError.diskFull, BlobStoreError.file(.diskFull), JobJournalError.diskFull: true
        case let error as SafetensorsError: error.all.contains { if case .file(.diskFull) = $0 { true } else { false } }
        case let error as JobFileError: error.files.contains { if case .diskFull = $0 { true } else { false } }
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
        case let error as FileError: isRefused(error)
        case let error as SafetensorsError:
            error.all.contains { if case .file(let error) = $0 { isRefused(error) } else { false } }
        case let error as JobFileError: error.files.contains(where: isRefused)
        case FileRootsError.callFailed(_, _, let code): WriteFailure.isLasting(code)
        case let error as Errno: WriteFailure.isLasting(error)
        default: false
        }
    }

    private static func isRefused(_ error: FileError) -> Bool {
        guard case .callFailed(_, _, let code) = error else { return false }
        return WriteFailure.isLasting(code)
    }
}
