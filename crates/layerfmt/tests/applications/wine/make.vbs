' Made the shortcuts here with Wine 8: wine wscript make.vbs
Set shell = CreateObject("WScript.Shell")
Set link = shell.CreateShortcut("wine.lnk")
link.TargetPath = "C:\Program Files\Internet Explorer\iexplore.exe"
link.Arguments = "--new ""a b"""
link.WorkingDirectory = "C:\Program Files"
link.Description = "A shortcut made by Wine"
link.IconLocation = "C:\windows\notepad.exe,1"
link.WindowStyle = 3
link.Save
Set link = shell.CreateShortcut("wine-environment.lnk")
link.TargetPath = "%ProgramFiles%\Internet Explorer\iexplore.exe"
link.Save
