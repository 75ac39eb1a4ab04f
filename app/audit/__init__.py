"""The audit trail: who saw, sent, received or was refused what (PS3.15 Annex A.5).

The one place where StudyInstanceUID and PatientID may stand outside the images: to tell them is its purpose.
"""
